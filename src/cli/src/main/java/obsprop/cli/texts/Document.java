package obsprop.cli.texts;

import java.nio.file.Path;
import java.util.Optional;

/**
 * One text.
 *
 * @param number of the document among all that were read, from 0
 * @param label where a label was asked for
 * @param line of the file where it begins, from 1
 */
public record Document(long number, String text, Optional<String> label, Path file, long line) {
}

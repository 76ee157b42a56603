package obsprop.cli.output;

import com.fasterxml.jackson.databind.JsonNode;

/** What a command has found, complete: nothing is printed before there is one. */
public interface Report {
    /** The document that {@code --json} prints. */
    JsonNode json();

    /** The same for a reader: lines of plain text, each ended by a newline. */
    String text();
}

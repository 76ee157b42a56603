package obsprop.tensor.io;

import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;

/**
 * A file that cannot be used. The message is one line that says what is wrong, where, and where possible how to fix
 * it: control characters (names come from the file) are shown escaped.
 */
public final class FormatException extends RuntimeException {
    private static final long serialVersionUID = 1L;
    private static final int LONGEST_QUOTE = 120;

    public FormatException(String message) {
        super(oneLine(message));
    }

    public FormatException(String message, Throwable cause) {
        super(oneLine(message), cause);
    }

    /** A problem of the content of {@code file}. */
    public static FormatException in(Path file, String problem) {
        return new FormatException(file + ": " + problem);
    }

    /** {@code file} cannot be opened or read at all. */
    public static FormatException unreadable(Path file, IOException cause) {
        return new FormatException(file + ": cannot be read: " + reason(cause), cause);
    }

    /** A name from a file, in quotes, shortened if absurdly long. */
    public static String quote(String name) {
        return name.length() <= LONGEST_QUOTE ? "'" + name + "'" : "'" + name.substring(0, LONGEST_QUOTE) + "...'";
    }

    /** What went wrong in words; the plain messages of some exceptions are only a path. */
    static String reason(IOException cause) {
        return switch (cause) {
            case NoSuchFileException _ -> "no such file or directory";
            case AccessDeniedException _ -> "permission denied";
            default -> cause.getMessage() == null ? cause.getClass().getSimpleName() : cause.getMessage();
        };
    }

    private static String oneLine(String message) {
        StringBuilder line = new StringBuilder(message.length());
        message.codePoints().forEach(c -> {
            if (Character.isISOControl(c) || c == 0x2028 || c == 0x2029) {
                line.append(String.format("\\u%04x", c));
            } else {
                line.appendCodePoint(c);
            }
        });
        return line.toString();
    }
}

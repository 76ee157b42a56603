package obsprop.launcher;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;

/**
 * Copies a JVM's stderr, byte for byte and as it comes, but for the one line that it prints at its start about the
 * incubating Vector module: no flag of the JVM turns that line off, and it tells the user nothing to act on.
 */
final class WarningFilter {
    private static final byte[] WARNING =
            "WARNING: Using incubator modules: jdk.incubator.vector".getBytes(StandardCharsets.US_ASCII);
    /** Other lines of the JVM (JAVA_TOOL_OPTIONS picked up) may come first; after these many nothing is looked for. */
    private static final int LINES = 4;

    private final OutputStream to;
    private int matched;
    private int lines;
    private boolean lineStart = true;
    private boolean dropping;

    WarningFilter(OutputStream to) {
        this.to = to;
    }

    /** Copies until the end of {@code from}. */
    void copy(InputStream from) throws IOException {
        byte[] buffer = new byte[8192];
        for (int count = from.read(buffer); count >= 0; count = from.read(buffer)) {
            int start = 0;
            while (start < count && lines < LINES) {
                accept(buffer[start++]);
            }
            to.write(buffer, start, count - start);
            to.flush();
        }
        release();
        to.flush();
    }

    private void accept(byte next) throws IOException {
        if (dropping) {
            if (next == '\n') {
                dropping = false;
                lines = LINES;
            }
        } else if (lineStart && next == WARNING[matched]) {
            matched++;
            dropping = matched == WARNING.length;
            matched = dropping ? 0 : matched;
        } else {
            release();
            to.write(next);
            lineStart = next == '\n';
            lines += lineStart ? 1 : 0;
        }
    }

    /** Writes the part of a line that was held back because it could have become the warning. */
    private void release() throws IOException {
        to.write(WARNING, 0, matched);
        matched = 0;
        lineStart = false;
    }
}

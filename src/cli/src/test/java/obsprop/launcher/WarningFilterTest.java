package obsprop.launcher;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class WarningFilterTest {
    private static final String WARNING = "WARNING: Using incubator modules: jdk.incubator.vector\n";

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 7, 8192})
    void dropsTheWarningHoweverTheBytesArrive(int chunk) throws IOException {
        assertEquals("", filtered(WARNING, chunk));
        assertEquals("rest\n" + WARNING, filtered(WARNING + "rest\n" + WARNING, chunk));
        assertEquals("Picked up JAVA_TOOL_OPTIONS: -Da=b\nrest", filtered("Picked up JAVA_TOOL_OPTIONS: -Da=b\n" + WARNING + "rest", chunk));
        assertEquals("rest\n", filtered(WARNING.replace("\n", "\r\n") + "rest\n", chunk));
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "\n", "W", "WARNING: Using incubator", "WARNING: something else\nrest", "WWARNING: Using\n",
            "a\nb\nc\nd\ne\n" + WARNING, "no newline, \u2581 and \r bars"})
    void passesEverythingElse(String text) throws IOException {
        assertEquals(text, filtered(text, 3));
    }

    @Test
    void passesAnUnfinishedLineOnAtOnce() throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        InputStream twice = new InputStream() {
            private int read;

            @Override
            public int read() {
                throw new UnsupportedOperationException();
            }

            @Override
            public int read(byte[] buffer, int offset, int length) {
                if (read++ == 0) {
                    buffer[offset] = '5';
                    buffer[offset + 1] = '%';
                    return 2;
                }
                assertEquals("5%", out.toString(StandardCharsets.UTF_8));
                return -1;
            }
        };
        new WarningFilter(out).copy(twice);
        assertEquals(2, out.size());
    }

    private static String filtered(String text, int chunk) throws IOException {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        new WarningFilter(out).copy(new ByteArrayInputStream(text.getBytes(StandardCharsets.UTF_8)) {
            @Override
            public synchronized int read(byte[] buffer, int offset, int length) {
                return super.read(buffer, offset, Math.min(chunk, length));
            }
        });
        return out.toString(StandardCharsets.UTF_8);
    }
}

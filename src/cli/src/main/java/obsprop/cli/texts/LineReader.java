package obsprop.cli.texts;

import java.io.BufferedInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;

/** Reads a UTF-8 file line by line, counting lines and bytes; memory is that of the longest line. */
final class LineReader implements AutoCloseable {
    /** A longer line is hardly a text. */
    private static final int LONGEST_LINE = 1 << 27;
    private static final String BYTE_ORDER_MARK = "\uFEFF";

    private final InputStream in;
    private final ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    private long line;
    private long read;

    LineReader(Path file) throws IOException {
        in = new BufferedInputStream(Files.newInputStream(file), 1 << 16);
    }

    /**
     * The next line without its end, or nothing at the end of the file.
     *
     * @throws CharacterCodingException if it is not UTF-8 (the next call reads on behind it)
     */
    Optional<String> next() throws IOException {
        bytes.reset();
        int b = in.read();
        if (b < 0) {
            return Optional.empty();
        }
        line++;
        for (; b >= 0 && b != '\n'; b = in.read()) {
            bytes.write(b);
            if (bytes.size() > LONGEST_LINE) {
                throw new IOException("line " + line + " is longer than " + LONGEST_LINE + " bytes");
            }
        }
        read += bytes.size() + (b == '\n' ? 1 : 0);
        String text = StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes.toByteArray())).toString();
        text = text.endsWith("\r") ? text.substring(0, text.length() - 1) : text;
        return Optional.of(line == 1 && text.startsWith(BYTE_ORDER_MARK) ? text.substring(1) : text);
    }

    /** Number of the line read last, from 1. */
    long line() {
        return line;
    }

    /** Bytes read so far. */
    long bytes() {
        return read;
    }

    @Override
    public void close() throws IOException {
        in.close();
    }
}

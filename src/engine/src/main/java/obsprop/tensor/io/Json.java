package obsprop.tensor.io;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/**
 * An immutable JSON tree. Reading is strict: UTF-8 only, no duplicate keys, no unpaired surrogates, nothing after the
 * value, and limits on nesting, size and number of tokens, so that a hostile file ends in a {@link FormatException}.
 */
public sealed interface Json {
    /** Members in the order of the file. */
    record Obj(Map<String, Json> members) implements Json {}

    record Arr(List<Json> items) implements Json {}

    record Str(String value) implements Json {}

    /** A number as written, so that no digit is lost; {@code NaN}, {@code Infinity}, {@code -Infinity} in {@link Dialect#PYTHON}. */
    record Num(String text) implements Json {}

    record Bool(boolean value) implements Json {}

    record Null() implements Json {}

    /** What counts as JSON. */
    enum Dialect {
        /** RFC 8259. */
        STRICT,
        /** And the tokens NaN, Infinity and -Infinity, which Python's json module writes. */
        PYTHON
    }

    /** The largest text that is read, in bytes: the same limit as for the header of a safetensors file. */
    int MAX_BYTES = 100_000_000;

    /** For messages: {@code a string}, {@code the number 3}, ... */
    default String describe() {
        return switch (this) {
            case Obj _ -> "an object";
            case Arr _ -> "an array";
            case Str(String value) -> "the string " + FormatException.quote(value);
            case Num(String text) -> "the number " + text;
            case Bool(boolean value) -> String.valueOf(value);
            case Null _ -> "null";
        };
    }

    /** What a message of jackson's says, without its remark that it does not show the source. */
    static String problem(String message) {
        return message.replaceAll("\\[Source: [^;]*; (line: \\d+, column: \\d+)]", "$1");
    }

    /**
     * Reads a whole file.
     *
     * @throws FormatException if the file is absent, too large, not UTF-8 or not JSON
     */
    static Json read(Path file, Dialect dialect) {
        if (!Files.isRegularFile(file)) {
            throw FormatException.in(file, "no such file");
        }
        ByteBuffer bytes;
        try (FileChannel channel = FileChannel.open(file)) {
            if (channel.size() > MAX_BYTES) {
                throw FormatException.in(file, "is " + channel.size() + " bytes long, more than the " + MAX_BYTES + " allowed for JSON");
            }
            bytes = ByteBuffer.allocate((int) channel.size());
            while (bytes.hasRemaining() && channel.read(bytes) >= 0) {
                // Until the file ends, even if it shrank meanwhile.
            }
        } catch (IOException e) {
            throw FormatException.unreadable(file, e);
        }
        return parse(bytes.flip(), file.toString(), dialect);
    }

    /**
     * Parses the remaining bytes of {@code utf8}.
     *
     * @param where what the bytes are, to begin messages with
     * @throws FormatException if they are not UTF-8 or not JSON
     */
    static Json parse(ByteBuffer utf8, String where, Dialect dialect) {
        String text;
        try {
            text = StandardCharsets.UTF_8.newDecoder().decode(utf8).toString();
        } catch (CharacterCodingException e) {
            throw new FormatException(where + ": not valid UTF-8", e);
        }
        return new JsonTreeReader(where, dialect).read(text);
    }
}

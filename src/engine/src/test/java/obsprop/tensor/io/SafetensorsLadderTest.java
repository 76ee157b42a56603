package obsprop.tensor.io;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import java.lang.foreign.Arena;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Every rung of the validation ladder, each with a file that fails at exactly that rung. */
class SafetensorsLadderTest {
    @TempDir
    private Path dir;

    static Stream<Arguments> badHeaders() {
        return Stream.of(
                arguments("not starting with {", " {}", 0, "does not start with '{'"),
                arguments("empty", "", 0, "does not start with '{'"),
                arguments("not an object", "[]", 0, "does not start with '{'"),
                arguments("invalid JSON", "{\"a\":}", 0, "invalid JSON"),
                arguments("truncated JSON", "{\"a\":{", 0, "invalid JSON"),
                arguments("trailing text", "{} x", 0, "invalid JSON"),
                arguments("trailing value", "{} {}", 0, "text after the end"),
                arguments("trailing NUL", "{}\0", 0, "invalid JSON"),
                arguments("deep", "{\"a\":" + "[".repeat(5000), 0, "nesting depth"),
                arguments("NaN", "{\"a\":NaN}", 0, "invalid JSON"),
                arguments("unpaired surrogate", entry("\\ud800", "U8", "[1]", "[0,1]"), 1, "unpaired surrogate"),
                arguments("duplicate name", "{" + member("a", "U8", "[1]", "[0,1]") + "," + member("a", "U8", "[1]", "[1,2]") + "}",
                        2, "duplicate key 'a'"),
                arguments("duplicate key", "{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}",
                        1, "duplicate key 'dtype'"),
                arguments("duplicate spelled with an escape", "{" + member("a", "U8", "[1]", "[0,1]") + ","
                        + member("\\u0061", "U8", "[1]", "[1,2]") + "}", 2, "duplicate key 'a'"),
                arguments("entry not an object", "{\"a\":3}", 0, "'a' is the number 3"),
                arguments("unknown key", "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],\"x\":1}}", 1, "unknown key 'x'"),
                arguments("no dtype", "{\"a\":{\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "'a' has no dtype"),
                arguments("no shape", "{\"a\":{\"dtype\":\"U8\",\"data_offsets\":[0,1]}}", 1, "'a' has no shape"),
                arguments("no offsets", "{\"a\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1, "'a' has no data_offsets"),
                arguments("unknown dtype", entry("a", "F99", "[1]", "[0,1]"), 1, "unknown dtype 'F99'"),
                arguments("lower case dtype", entry("a", "u8", "[1]", "[0,1]"), 1, "unknown dtype 'u8'"),
                arguments("dtype not a string", "{\"a\":{\"dtype\":8,\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "dtype is the number 8"),
                arguments("shape not an array", entry("a", "U8", "1", "[0,1]"), 1, "shape is the number 1"),
                arguments("negative size", entry("a", "U8", "[-1]", "[0,1]"), 1, "shape holds the number -1"),
                arguments("fractional size", entry("a", "U8", "[1.0]", "[0,1]"), 1, "shape holds the number 1.0"),
                arguments("size as text", entry("a", "U8", "[\"1\"]", "[0,1]"), 1, "shape holds the string '1'"),
                arguments("size beyond 64 bits", entry("a", "U8", "[18446744073709551617]", "[0,1]"), 1, "overflows 64 bits"),
                arguments("size beyond int", entry("a", "U8", "[2147483648]", "[0,2147483648]"), 1, "supported along one axis"),
                arguments("shape overflows", entry("a", "U8", "[2147483647,2147483647,2147483647]", "[0,1]"), 1, "overflows 64 bits"),
                arguments("shape x type overflows", entry("a", "F64", "[2147483647,2147483647]", "[0,1]"), 1, "overflows 64 bits"),
                arguments("negative offset", entry("a", "U8", "[1]", "[-1,0]"), 1, "data_offsets holds the number -1"),
                arguments("fractional offset", entry("a", "U8", "[1]", "[0,1e0]"), 1, "data_offsets holds the number 1e0"),
                arguments("one offset", entry("a", "U8", "[1]", "[0]"), 1, "1 data_offsets"),
                arguments("three offsets", entry("a", "U8", "[1]", "[0,1,2]"), 1, "3 data_offsets"),
                arguments("begin after end", entry("a", "U8", "[1]", "[1,0]"), 1, "begins at 1 after its end 0"),
                arguments("out of bounds", entry("a", "U8", "[2]", "[0,2]"), 1, "ends at byte 2 of the data, but there are only 1"),
                arguments("far out of bounds", entry("a", "U8", "[1]", "[9223372036854775806,9223372036854775807]"), 1, "ends at byte"),
                arguments("size mismatch", entry("a", "F32", "[2]", "[0,4]"), 4, "takes 4 bytes, but F32[2] needs 8"),
                arguments("overlap", "{" + member("a", "U8", "[2]", "[0,2]") + "," + member("b", "U8", "[2]", "[1,3]") + "}",
                        3, "'b' overlaps"),
                arguments("same place", "{" + member("a", "U8", "[2]", "[0,2]") + "," + member("b", "U8", "[2]", "[0,2]") + "}",
                        2, "overlaps"),
                arguments("hole", "{" + member("a", "U8", "[1]", "[0,1]") + "," + member("b", "U8", "[1]", "[2,3]") + "}",
                        3, "'b' leaves a hole"),
                arguments("hole at the start", entry("a", "U8", "[1]", "[1,2]"), 2, "'a' leaves a hole"),
                arguments("empty tensor apart", entry("a", "U8", "[0]", "[1,1]"), 1, "'a' leaves a hole"),
                arguments("trailing bytes", entry("a", "U8", "[1]", "[0,1]"), 2, "2 bytes of data, but the tensors cover only 1"),
                arguments("data without tensors", "{}", 1, "cover only 0"),
                arguments("metadata not an object", "{\"__metadata__\":[]}", 0, "__metadata__ is an array"),
                arguments("metadata not strings", "{\"__metadata__\":{\"k\":1}}", 0, "'k' is the number 1"));
    }

    private static String member(String name, String dtype, String shape, String offsets) {
        return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}";
    }

    private static String entry(String name, String dtype, String shape, String offsets) {
        return "{" + member(name, dtype, shape, offsets) + "}";
    }

    @ParameterizedTest(name = "{0}")
    @MethodSource("badHeaders")
    void refusesBadHeader(String what, String header, int dataBytes, String expected) {
        requireRefused(Crafted.bytes(header, dataBytes), expected);
    }

    @Test
    void refusesShortFile() {
        requireRefused(new byte[0], "only 0 bytes");
        requireRefused(new byte[7], "only 7 bytes");
    }

    @Test
    void refusesBadLength() {
        byte[] valid = Crafted.bytes("{}", 0);
        requireRefused(withLength(valid, 3), "header of 3 bytes, but the file has only 10");
        requireRefused(withLength(valid, 0), "does not start with '{'");
        requireRefused(withLength(valid, 100_000_001), "header of 100000001 bytes, more than");
        requireRefused(withLength(valid, -1), "header of 18446744073709551615 bytes");
        requireRefused(withLength(valid, Long.MIN_VALUE), "header of 9223372036854775808 bytes");
    }

    private static byte[] withLength(byte[] file, long length) {
        byte[] changed = file.clone();
        ByteBuffer.wrap(changed).order(ByteOrder.LITTLE_ENDIAN).putLong(length);
        return changed;
    }

    @Test
    void refusesNonUtf8() {
        byte[] header = entry("a?b", "U8", "[1]", "[0,1]").getBytes(StandardCharsets.UTF_8);
        header[3] = (byte) 0xC3;
        requireRefused(Crafted.bytes(header, 1), "not valid UTF-8");
    }

    @Test
    void namesGitLfsPointer() {
        requireRefused("version https://git-lfs.github.com/spec/v1\noid sha256:0\n".getBytes(StandardCharsets.US_ASCII), "git lfs pull");
    }

    @Test
    void refusesTruncationAnywhere() {
        byte[] valid = Crafted.bytes(entry("a", "F32", "[2,2]", "[0,16]"), 16);
        for (int length = 0; length < valid.length; length++) {
            requireRefused(Arrays.copyOf(valid, length), "");
        }
    }

    @Test
    void refusesMissingFileAndDirectory() {
        try (Arena arena = Arena.ofConfined()) {
            Path absent = dir.resolve("absent.safetensors");
            var missing = assertThrows(FormatException.class, () -> SafetensorsFile.open(absent, arena));
            assertEquals(absent + ": cannot be read: no such file or directory", missing.getMessage());
            var directory = assertThrows(FormatException.class, () -> SafetensorsFile.open(dir, arena));
            assertTrue(directory.getMessage().contains("is a directory"), directory.getMessage());
        }
    }

    private void requireRefused(byte[] content, String expected) {
        Path file = Crafted.file(dir, content);
        try (Arena arena = Arena.ofConfined()) {
            String message = assertThrows(FormatException.class, () -> SafetensorsFile.open(file, arena)).getMessage();
            assertTrue(message.startsWith(file.toString()) && message.contains(expected), message);
            assertTrue(message.chars().noneMatch(c -> c < ' '), message);
        }
    }

    @Test
    void controlCharactersInNamesDoNotBreakTheLine() {
        requireRefused(Crafted.bytes(entry("a\\nb", "F99", "[1]", "[0,1]"), 1), "'a\\u000ab'");
    }

    @Test
    void acceptsEmptyScalarUnsortedAndPadded() {
        String header = "{" + String.join(",",
                member("last", "U8", "[2,1]", "[4,6]"), member("scalar", "F32", "[]", "[0,4]"),
                member("none", "F64", "[3,0,2]", "[4,4]"), member("noneAtEnd", "I64", "[0]", "[6,6]"),
                "\"__metadata__\":{\"format\":\"pt\"}") + "}  \n";
        Path file = Crafted.file(dir, Crafted.bytes(header, 6));
        try (Arena arena = Arena.ofConfined()) {
            SafetensorsFile open = SafetensorsFile.open(file, arena);
            assertEquals(List.of("last", "scalar", "none", "noneAtEnd"), List.copyOf(open.names()));
            assertEquals(Map.of("format", "pt"), open.metadata());
            assertArrayEquals(new double[] {4, 5}, open.tensor("last").toDoubles());
            assertEquals(Float.intBitsToFloat(0x03020100), open.tensor("scalar").toFloats()[0]);
            assertArrayEquals(new int[] {3, 0, 2}, open.tensor("none").shape());
            assertEquals(6, open.dataBytes());
            assertTrue(open.tensor("last").segment().isReadOnly());
            assertFalse(open.has("absent"));
            var missing = assertThrows(FormatException.class, () -> open.tensor("absent"));
            assertEquals(file + ": has no tensor 'absent'", missing.getMessage());
        }
    }

    @Test
    void acceptsFileWithoutTensors() throws Exception {
        Path file = Files.write(dir.resolve("none.safetensors"), Crafted.bytes("{}", 0));
        try (Arena arena = Arena.ofConfined()) {
            assertTrue(SafetensorsFile.open(file, arena).names().isEmpty());
        }
    }
}

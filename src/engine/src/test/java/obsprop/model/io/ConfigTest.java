package obsprop.model.io;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import obsprop.tensor.io.FormatException;
import obsprop.tensor.io.Json;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;

class ConfigTest {
    @TempDir
    private Path dir;

    private Config config(String json) throws IOException {
        Files.writeString(dir.resolve("config.json"), json);
        return Config.read(dir);
    }

    private void requireRefused(String expected, Executable access) {
        String message = assertThrows(FormatException.class, access).getMessage();
        assertEquals(dir.resolve("config.json") + ": " + expected, message);
    }

    @Test
    void readsEveryType() throws IOException {
        Config config = config("""
                {"i": 7, "whole": 2.0, "e": 1e3, "d": 0.5, "t": true, "s": "gelu", "none": null,
                 "list": ["a", "b"], "nested": {"x": 3, "y": {"z": 1}, "n": null}}""");
        assertEquals(7, config.requireInt("i"));
        assertEquals(2, config.requireInt("whole"));
        assertEquals(1000, config.intOr("e", 1));
        assertEquals(0.5, config.requireDouble("d"));
        assertEquals(7.0, config.doubleOr("i", 1));
        assertTrue(config.booleanOr("t", false));
        assertEquals("gelu", config.requireString("s"));
        assertEquals(List.of("a", "b"), config.strings("list"));
        Config nested = config.object("nested").orElseThrow();
        assertEquals(3, nested.requireInt("x"));
        assertSame(nested, config.object("nested").orElseThrow());
        assertEquals(new Json.Bool(true), config.value("t").orElseThrow());
        assertEquals(dir.resolve("config.json").toString(), config.where());
    }

    @Test
    void nullCountsAsAbsent() throws IOException {
        Config config = config("{\"none\": null}");
        for (String key : List.of("none", "absent")) {
            assertFalse(config.isPresent(key));
            assertEquals(5, config.intOr(key, 5));
            assertEquals(5.5, config.doubleOr(key, 5.5));
            assertTrue(config.booleanOr(key, true));
            assertEquals("x", config.stringOr(key, "x"));
            assertEquals(List.of(), config.strings(key));
            assertTrue(config.object(key).isEmpty());
            requireRefused(key + ": missing, expected an integer", () -> config.requireInt(key));
            requireRefused(key + ": missing, expected a number", () -> config.requireDouble(key));
            requireRefused(key + ": missing, expected a string", () -> config.requireString(key));
        }
    }

    @Test
    void namesWrongTypes() throws IOException {
        Config config = config("""
                {"s": "7", "half": 2.5, "big": 2147483648, "huge": 1e999999999, "tiny": 1e-999999999, "t": true, "i": 1,
                 "nan": NaN, "mixed": ["a", 1], "nested": {"x": "3"}}""");
        requireRefused("s: found the string '7', expected an integer", () -> config.requireInt("s"));
        requireRefused("half: found the number 2.5, expected an integer of 32 bits", () -> config.intOr("half", 1));
        requireRefused("big: found the number 2147483648, expected an integer of 32 bits", () -> config.requireInt("big"));
        requireRefused("huge: found the number 1e999999999, expected an integer", () -> config.requireInt("huge"));
        requireRefused("tiny: found the number 1e-999999999, expected an integer of 32 bits", () -> config.requireInt("tiny"));
        requireRefused("t: found true, expected an integer", () -> config.requireInt("t"));
        requireRefused("s: found the string '7', expected a finite number", () -> config.requireDouble("s"));
        requireRefused("nan: found the number NaN, expected a finite number", () -> config.doubleOr("nan", 1));
        requireRefused("i: found the number 1, expected true or false", () -> config.booleanOr("i", true));
        requireRefused("i: found the number 1, expected a string", () -> config.stringOr("i", ""));
        requireRefused("i: found the number 1, expected an object", () -> config.object("i"));
        requireRefused("i: found the number 1, expected an array of strings", () -> config.strings("i"));
        requireRefused("mixed: found the number 1, expected a string", () -> config.strings("mixed"));
        requireRefused("nested.x: found the string '3', expected an integer",
                () -> config.object("nested").orElseThrow().requireInt("x"));
        requireRefused("s: unknown", () -> {
            throw config.refuse("s", "unknown");
        });
    }

    @Test
    void remembersWhatWasRead() throws IOException {
        Config config = config("{\"a\": 1, \"b\": 2, \"n\": {\"x\": 1, \"y\": 2, \"z\": null}, \"m\": {\"x\": 1}, \"none\": null}");
        assertEquals(Set.of("a", "b", "n", "m"), config.unread());
        config.intOr("a", 0);
        config.isPresent("b");
        config.object("n").orElseThrow().requireInt("x");
        assertEquals(List.of("b", "n.y", "m"), List.copyOf(config.unread()));
    }

    @Test
    void acceptsPythonsNonNumbersOnly() throws IOException {
        assertTrue(config("{\"a\": [NaN, Infinity, -Infinity]}").isPresent("a"));
        for (String bad : List.of("INF", "-INF", "+Infinity", "nan", "+1", "01", "1.", "'a'", "undefined")) {
            Files.writeString(dir.resolve("config.json"), "{\"a\": " + bad + "}");
            assertThrows(FormatException.class, () -> Config.read(dir), bad);
        }
    }

    @Test
    void refusesUnusableFiles() throws IOException {
        Path empty = Files.createDirectory(dir.resolve("empty"));
        var missing = assertThrows(FormatException.class, () -> Config.read(empty));
        assertTrue(missing.getMessage().startsWith(empty.resolve("config.json") + ": no such file"), missing.getMessage());
        Path file = dir.resolve("config.json");
        for (String bad : List.of("", "[]", "3", "{", "{\"a\":1,\"a\":2}", "{}{}")) {
            Files.writeString(file, bad);
            assertThrows(FormatException.class, () -> Config.read(file), bad);
        }
        Files.write(file, "{\"ä\":1}".getBytes(StandardCharsets.ISO_8859_1));
        requireRefused("not valid UTF-8", () -> Config.read(file));
    }

    @Test
    void readsAllGoldenConfigs() throws IOException {
        int read = 0;
        try (var dirs = Files.newDirectoryStream(Path.of(System.getProperty("obsprop.golden")), Files::isDirectory)) {
            for (Path golden : dirs) {
                Config config = Config.read(golden);
                assertFalse(config.requireString("model_type").isEmpty());
                assertTrue(config.requireInt("vocab_size") > 0);
                assertEquals(1, config.strings("architectures").size());
                read++;
            }
        }
        assertTrue(read >= 19, read + " configs");
    }
}

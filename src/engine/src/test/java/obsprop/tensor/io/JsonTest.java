package obsprop.tensor.io;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class JsonTest {
    private static Json parse(String text) {
        return Json.parse(text, "here", Json.Dialect.STRICT);
    }

    @Test
    void everyKindOfValue() {
        assertEquals(new Json.Obj(Map.of(
                        "a", new Json.Arr(List.of(new Json.Num("-0.5e+3"), new Json.Num("10"), new Json.Bool(true), new Json.Bool(false))),
                        "", new Json.Null(),
                        "o", new Json.Obj(Map.of()),
                        "e", new Json.Arr(List.of()),
                        "s", new Json.Str("\u00e9\ud83d\ude00"))),
                parse(" {\"a\" :[ -0.5e+3,10\t, true,false],\r\n\"\": null, \"o\":{ }, \"e\": [ ],\"s\":\"\u00e9\ud83d\ude00\"} \n"));
    }

    @Test
    void escapes() {
        assertEquals(new Json.Str("x\"\\/\b\f\n\r\t\u00e9\ud83d\ude00\0y"),
                parse("\"x\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00E9\\ud83d\\uDE00\\u0000y\""));
    }

    @Test
    void keysKeepTheirOrder() {
        assertEquals(List.of("c", "a", "b"), List.copyOf(((Json.Obj) parse("{\"c\":1,\"a\":2,\"b\":3}")).members().keySet()));
    }

    @ParameterizedTest
    @ValueSource(strings = {"0", "-0", "7", "120", "0.0", "1.50", "1e5", "1E-5", "0e+0", "-12.34e56"})
    void numbersAsWritten(String number) {
        assertEquals(new Json.Num(number), parse(number));
    }

    @ParameterizedTest
    @ValueSource(strings = {
        "", " ", "{", "[", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,}", "[1,]", "[1 2]", "[,1]", "{,}", "{a:1}", "{'a':1}", "{1:2}",
        "\"a", "\"a\\", "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"", "\"\\u\uff11234\"", "\"\t\"", "\"\n\"", "\"\0\"",
        "01", "-", "+1", ".5", "1.", "1e", "1e+", "0x1", "1f", "--1", "\uff11",
        "tru", "TRUE", "nul", "NaN", "Infinity", "-Infinity", "truefalse", "1 2", "{} x", "{}\0", "\ufeff{}", "//\n1", "/**/1",
        "]", "}", ",", ":", "\"\\ud800\"", "\"\\udc00\\ud800\"", "\"\\ud800x\"", "{\"a\":1,\"\\u0061\":2}"})
    void refusedWithOneLine(String text) {
        String message = assertThrows(FormatException.class, () -> parse(text)).getMessage();
        assertTrue(message.startsWith("here: ") && message.lines().count() == 1, message);
    }

    @ParameterizedTest
    @ValueSource(strings = {"NaN", "Infinity", "-Infinity"})
    void whatPythonWrites(String number) {
        assertEquals(new Json.Num(number), Json.parse(number, "here", Json.Dialect.PYTHON));
        assertThrows(FormatException.class, () -> Json.parse("-NaN", "here", Json.Dialect.PYTHON));
        assertThrows(FormatException.class, () -> Json.parse("+Infinity", "here", Json.Dialect.PYTHON));
    }

    @Test
    void limits() {
        assertEquals(128, depth(parse("[".repeat(128) + "]".repeat(128))));
        assertThrows(FormatException.class, () -> parse("[".repeat(129) + "]".repeat(129)));
        parse("1".repeat(1000));
        assertThrows(FormatException.class, () -> parse("1".repeat(1001)));
    }

    private static int depth(Json json) {
        return json instanceof Json.Arr(List<Json> items) ? 1 + items.stream().mapToInt(JsonTest::depth).max().orElse(0) : 0;
    }

    @ParameterizedTest
    @CsvSource({"'{\"a\": x}', 1, 7", "'[1,\n 2,\n  ?]', 3, 3"})
    void theErrorSaysWhere(String text, int line, int column) {
        String message = assertThrows(FormatException.class, () -> parse(text)).getMessage();
        assertTrue(message.endsWith("at line " + line + ", column " + column), message);
    }
}

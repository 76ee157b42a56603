package obsprop.weights;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.util.DefaultPrettyPrinter;
import java.io.IOException;
import java.io.StringWriter;
import java.io.UncheckedIOException;
import java.util.LinkedHashMap;
import java.util.Map;
import obsprop.tensor.io.Json;

/** Writes maps, iterables, strings, numbers, booleans, int arrays, and numbers and nulls that were read, as JSON. */
public final class JsonText {
    private JsonText() {}

    /** A JSON object with its members in this order: key, value, key, value, ... */
    public static Map<String, Object> object(Object... keysAndValues) {
        Map<String, Object> members = new LinkedHashMap<>();
        for (int i = 0; i < keysAndValues.length; i += 2) {
            members.put((String) keysAndValues[i], keysAndValues[i + 1]);
        }
        return members;
    }

    /** On one line. */
    public static String line(Object value) {
        return text(value, false);
    }

    /** Indented, with a line break at the end. */
    public static String pretty(Object value) {
        return text(value, true) + "\n";
    }

    private static String text(Object value, boolean indent) {
        StringWriter out = new StringWriter();
        try (JsonGenerator json = new JsonFactory().createGenerator(out)) {
            if (indent) {
                json.setPrettyPrinter(new DefaultPrettyPrinter());
            }
            write(json, value);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return out.toString();
    }

    private static void write(JsonGenerator json, Object value) throws IOException {
        switch (value) {
            case Map<?, ?> map -> {
                json.writeStartObject();
                for (Map.Entry<?, ?> entry : map.entrySet()) {
                    json.writeFieldName(entry.getKey().toString());
                    write(json, entry.getValue());
                }
                json.writeEndObject();
            }
            case Iterable<?> items -> {
                json.writeStartArray();
                for (Object item : items) {
                    write(json, item);
                }
                json.writeEndArray();
            }
            case int[] items -> json.writeArray(items, 0, items.length);
            case String text -> json.writeString(text);
            case Boolean flag -> json.writeBoolean(flag);
            case Double number -> json.writeNumber(number);
            case Float number -> json.writeNumber(number);
            case Number number -> json.writeNumber(number.longValue());
            case Json.Num(String text) -> json.writeNumber(text);
            case Json.Null _ -> json.writeNull();
            default -> throw new IllegalArgumentException("no JSON form for " + value.getClass());
        }
    }
}

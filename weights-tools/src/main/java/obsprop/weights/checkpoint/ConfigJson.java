package obsprop.weights.checkpoint;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import obsprop.tensor.DType;
import obsprop.tensor.io.FormatException;
import obsprop.tensor.io.Json;
import obsprop.weights.JsonText;

/** A config.json that is being made: from a known shape or a file, with single values changed. */
public final class ConfigJson {
    private final Map<String, Json> members;

    private ConfigJson(Map<String, Json> members) {
        this.members = new LinkedHashMap<>(members);
    }

    /**
     * The shape of a well-known model, for instance {@code gpt-neo-1.3b}.
     *
     * @throws FormatException if there is none of that name; the message lists them
     */
    public static ConfigJson like(String name) {
        try (InputStream in = ConfigJson.class.getResourceAsStream("shapes.json")) {
            Json shapes = Json.parse(ByteBuffer.wrap(in.readAllBytes()), "shapes.json", Json.Dialect.STRICT);
            if (shapes instanceof Json.Obj(Map<String, Json> byName)) {
                if (byName.get(name.toLowerCase(Locale.ROOT)) instanceof Json.Obj(Map<String, Json> members)) {
                    return new ConfigJson(members);
                }
                throw new FormatException("--like " + name + ": no such shape, expected one of "
                        + String.join(", ", byName.keySet()));
            }
            throw new IllegalStateException("shapes.json is not an object");
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** From a config.json, or the one in a model directory. */
    public static ConfigJson read(Path dirOrFile) {
        Path file = Files.isDirectory(dirOrFile) ? dirOrFile.resolve("config.json") : dirOrFile;
        if (Json.read(file, Json.Dialect.PYTHON) instanceof Json.Obj(Map<String, Json> members)) {
            return new ConfigJson(members);
        }
        throw FormatException.in(file, "is not a JSON object");
    }

    /** From the text of a config.json; {@code where} begins messages. */
    public static ConfigJson parse(byte[] utf8, String where) {
        if (Json.parse(ByteBuffer.wrap(utf8), where, Json.Dialect.STRICT) instanceof Json.Obj(Map<String, Json> members)) {
            return new ConfigJson(members);
        }
        throw new FormatException(where + ": is not a JSON object");
    }

    /** An empty one, to be filled by {@link #put}. */
    public static ConfigJson of(Map<String, Json> members) {
        return new ConfigJson(members);
    }

    /** Sets {@code key} to a JSON value, or to a string where {@code value} is no JSON. */
    public ConfigJson set(String key, String value) {
        Json parsed;
        try {
            parsed = Json.parse(ByteBuffer.wrap(value.getBytes(StandardCharsets.UTF_8)), key, Json.Dialect.STRICT);
        } catch (FormatException notJson) {
            parsed = new Json.Str(value);
        }
        members.put(key, parsed);
        return this;
    }

    /** States the type of the weights, under both names that are in use. */
    public ConfigJson setType(DType dtype) {
        String name = switch (dtype) {
            case F16 -> "float16";
            case BF16 -> "bfloat16";
            case F64 -> "float64";
            default -> "float32";
        };
        members.put("dtype", new Json.Str(name));
        members.put("torch_dtype", new Json.Str(name));
        return this;
    }

    /** For {@code config.json}. */
    public String text() {
        return JsonText.pretty(plain(new Json.Obj(members)));
    }

    private static Object plain(Json json) {
        return switch (json) {
            case Json.Obj(Map<String, Json> m) -> {
                Map<String, Object> plain = new LinkedHashMap<>();
                m.forEach((key, value) -> plain.put(key, plain(value)));
                yield plain;
            }
            case Json.Arr(List<Json> items) -> items.stream().map(ConfigJson::plain).toList();
            case Json.Null none -> none;
            case Json.Str(String text) -> text;
            case Json.Num number -> number;
            case Json.Bool(boolean flag) -> flag;
        };
    }
}

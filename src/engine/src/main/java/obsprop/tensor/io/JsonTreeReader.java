package obsprop.tensor.io;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.JsonToken;
import com.fasterxml.jackson.core.StreamReadConstraints;
import com.fasterxml.jackson.core.json.JsonReadFeature;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Builds the tree from jackson's token stream. */
final class JsonTreeReader {
    /** As deep as the reference implementation of safetensors goes. */
    private static final int MAX_DEPTH = 128;
    /** Ample for a million tensors; bounds the memory that a hostile header can claim. */
    private static final long MAX_TOKENS = 32_000_000;

    private final String where;
    private final JsonFactory factory;

    JsonTreeReader(String where, Json.Dialect dialect) {
        this.where = where;
        this.factory = JsonFactory.builder()
                .streamReadConstraints(StreamReadConstraints.builder()
                        .maxNestingDepth(MAX_DEPTH).maxTokenCount(MAX_TOKENS).build())
                .configure(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS, dialect == Json.Dialect.PYTHON)
                .disable(JsonFactory.Feature.INTERN_FIELD_NAMES)
                .build();
    }

    Json read(String text) {
        try (JsonParser parser = factory.createParser(text)) {
            if (parser.nextToken() == null) {
                throw new FormatException(where + ": empty, expected JSON");
            }
            Json value = value(parser);
            if (parser.nextToken() != null) {
                throw refuse(parser, "text after the end of the value");
            }
            return value;
        } catch (JsonProcessingException e) {
            throw new FormatException(where + ": invalid JSON: " + Json.problem(e.getOriginalMessage()) + at(e), e);
        } catch (IOException e) {
            throw new FormatException(where + ": invalid JSON: " + Json.problem(e.getMessage()), e);
        }
    }

    private Json value(JsonParser parser) throws IOException {
        return switch (parser.currentToken()) {
            case START_OBJECT -> object(parser);
            case START_ARRAY -> array(parser);
            case VALUE_STRING -> new Json.Str(string(parser));
            case VALUE_NUMBER_INT -> new Json.Num(parser.getText());
            case VALUE_NUMBER_FLOAT -> new Json.Num(floating(parser));
            case VALUE_TRUE -> new Json.Bool(true);
            case VALUE_FALSE -> new Json.Bool(false);
            case VALUE_NULL -> new Json.Null();
            default -> throw refuse(parser, "unexpected " + parser.currentToken());
        };
    }

    private Json object(JsonParser parser) throws IOException {
        Map<String, Json> members = new LinkedHashMap<>();
        while (parser.nextToken() != JsonToken.END_OBJECT) {
            String key = string(parser);
            parser.nextToken();
            if (members.put(key, value(parser)) != null) {
                throw refuse(parser, "duplicate key " + FormatException.quote(key));
            }
        }
        return new Json.Obj(Collections.unmodifiableMap(members));
    }

    private Json array(JsonParser parser) throws IOException {
        List<Json> items = new ArrayList<>();
        while (parser.nextToken() != JsonToken.END_ARRAY) {
            items.add(value(parser));
        }
        return new Json.Arr(Collections.unmodifiableList(items));
    }

    /** Escapes can spell half a surrogate pair, which no UTF-8 text can hold. */
    private String string(JsonParser parser) throws IOException {
        String text = parser.getText();
        if (!StandardCharsets.UTF_8.newEncoder().canEncode(text)) {
            throw refuse(parser, "unpaired surrogate in the string " + FormatException.quote(text));
        }
        return text;
    }

    /** Jackson knows more spellings of infinity than Python writes. */
    private String floating(JsonParser parser) throws IOException {
        String text = parser.getText();
        boolean number = Character.isDigit(text.charAt(text.length() - 1));
        if (!number && !text.equals("NaN") && !text.equals("Infinity") && !text.equals("-Infinity")) {
            throw refuse(parser, "unexpected " + text);
        }
        return text;
    }

    private FormatException refuse(JsonParser parser, String problem) {
        var location = parser.currentLocation();
        return new FormatException(where + ": invalid JSON: " + problem + " at line " + location.getLineNr()
                + ", column " + location.getColumnNr());
    }

    private static String at(JsonProcessingException e) {
        var location = e.getLocation();
        return location == null ? "" : " at line " + location.getLineNr() + ", column " + location.getColumnNr();
    }
}

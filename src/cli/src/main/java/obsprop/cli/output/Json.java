package obsprop.cli.output;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.core.util.DefaultPrettyPrinter;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.StringWriter;
import java.util.List;
import java.util.Map;
import java.util.function.Function;

/** JSON documents, as trees that are built in full before a byte of them is written. */
public final class Json {
    private static final JsonNodeFactory NODES = JsonNodeFactory.instance;

    private Json() {
    }

    /** An empty object. */
    public static ObjectNode object() {
        return NODES.objectNode();
    }

    /** An array of what {@code node} makes of each of {@code items}. */
    public static <T> ArrayNode array(List<T> items, Function<? super T, ? extends JsonNode> node) {
        ArrayNode array = NODES.arrayNode(items.size());
        items.forEach(item -> array.add(node.apply(item)));
        return array;
    }

    /** Parses a text that is one JSON value and nothing more. */
    public static JsonNode read(String text) throws JsonProcessingException {
        return Reader.STRICT.readTree(text);
    }

    /** What is wrong with a text that is none, on one line. */
    public static String problem(JsonProcessingException e) {
        return obsprop.tensor.io.Json.problem(e.getOriginalMessage()).lines().findFirst().orElse("");
    }

    /** Set up when first needed: that takes a tenth of a second. */
    private static final class Reader {
        static final ObjectReader STRICT =
                JsonMapper.builder().enable(DeserializationFeature.FAIL_ON_TRAILING_TOKENS).build().readerFor(JsonNode.class);
    }

    /**
     * The document in lines, ended by a newline. Written node by node: Jackson's mapper does the same, but takes a
     * tenth of a second to get ready.
     */
    public static String write(JsonNode document) {
        StringWriter text = new StringWriter();
        try (JsonGenerator generator = new JsonFactory().createGenerator(text)) {
            generator.setPrettyPrinter(new DefaultPrettyPrinter());
            write(document, generator);
        } catch (IOException e) {
            throw new IllegalStateException("a JSON tree could not be written", e);
        }
        return text.append('\n').toString();
    }

    private static void write(JsonNode node, JsonGenerator to) throws IOException {
        switch (node.getNodeType()) {
            case OBJECT -> {
                to.writeStartObject();
                for (Map.Entry<String, JsonNode> property : node.properties()) {
                    to.writeFieldName(property.getKey());
                    write(property.getValue(), to);
                }
                to.writeEndObject();
            }
            case ARRAY -> {
                to.writeStartArray();
                for (JsonNode element : node) {
                    write(element, to);
                }
                to.writeEndArray();
            }
            case STRING -> to.writeString(node.textValue());
            case BOOLEAN -> to.writeBoolean(node.booleanValue());
            case NULL -> to.writeNull();
            case NUMBER -> number(node, to);
            default -> throw new IllegalArgumentException("no JSON: " + node.getNodeType());
        }
    }

    private static void number(JsonNode node, JsonGenerator to) throws IOException {
        if (node.isIntegralNumber()) {
            to.writeNumber(node.longValue());
        } else {
            finite(node.doubleValue(), to);
        }
    }

    /** JSON has no word for what is not finite. */
    private static void finite(double value, JsonGenerator to) throws IOException {
        if (Double.isFinite(value)) {
            to.writeNumber(value);
        } else {
            to.writeNull();
        }
    }
}

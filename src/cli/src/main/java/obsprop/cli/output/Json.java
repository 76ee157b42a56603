package obsprop.cli.output;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;
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

    /** Sets {@code field} of {@code object}, to null where the value is not finite: JSON has no NaN. */
    public static void putFinite(ObjectNode object, String field, double value) {
        if (Double.isFinite(value)) {
            object.put(field, value);
        } else {
            object.putNull(field);
        }
    }

    /** The document in lines, ended by a newline. */
    public static String write(JsonNode document) {
        try {
            return new JsonMapper().writerWithDefaultPrettyPrinter().writeValueAsString(document) + "\n";
        } catch (JsonProcessingException e) {
            throw new IllegalStateException("a JSON tree could not be written", e);
        }
    }
}

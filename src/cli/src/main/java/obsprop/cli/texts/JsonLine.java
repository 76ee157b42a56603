package obsprop.cli.texts;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import java.util.Optional;
import obsprop.cli.output.Json;

/** Reads one line of JSON. */
final class JsonLine {
    private final String field;
    private final Optional<LabelField> labelField;

    /** The text of a line and, where asked for, its label. */
    record Content(String text, Optional<String> label) {
    }

    /** What is wrong with a line. */
    static final class Wrong extends Exception {
        private static final long serialVersionUID = 1;

        Wrong(String message) {
            super(message);
        }
    }

    JsonLine(String field, Optional<LabelField> labelField) {
        this.field = field;
        this.labelField = labelField;
    }

    Content parse(String line) throws Wrong {
        JsonNode object;
        try {
            object = Json.read(line);
        } catch (JsonProcessingException e) {
            throw new Wrong("is no JSON (" + Json.problem(e) + ")");
        }
        if (!object.isObject()) {
            throw new Wrong("is no JSON object");
        }
        JsonNode text = object.get(field);
        if (text == null || !text.isTextual()) {
            throw new Wrong("has no string in the field \"" + field + "\" (--field names another)");
        }
        if (text.asText().codePoints().anyMatch(c -> c >= Character.MIN_SURROGATE && c <= Character.MAX_SURROGATE)) {
            throw new Wrong("holds half of a surrogate pair");
        }
        Optional<String> label = Optional.empty();
        if (labelField.isPresent()) {
            JsonNode value = object.get(labelField.get().name());
            if (value == null || !value.isValueNode() || value.isNull()) {
                throw new Wrong("has no label in the field \"" + labelField.get().name() + "\" (" + labelField.get().option()
                        + " names another)");
            }
            label = Optional.of(value.asText());
        }
        return new Content(text.asText(), label);
    }
}

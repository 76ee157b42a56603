package obsprop.cli.tokens;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.util.HashMap;
import java.util.Map;
import java.util.Objects;

/**
 * The entries of a {@code tokenizer.json}, read from it because the native library does not tell them: the model's
 * vocabulary (an object of entry to id, or Unigram's array of [entry, score]) and the added tokens.
 *
 * @param ids every entry's id
 * @param decoder whether the file says how tokens become text again; without that a blank would stand between any two
 * @param bytes whether entries are spelled in GPT-2's letters for bytes
 */
record VocabularyEntries(Map<String, Integer> ids, boolean decoder, boolean bytes) {
    static VocabularyEntries read(String json) throws IOException {
        Map<String, Integer> ids = new HashMap<>();
        boolean decoder = false;
        boolean bytes = false;
        try (JsonParser parser = new JsonFactory().createParser(json)) {
            parser.nextToken();
            while (parser.nextToken() == JsonToken.FIELD_NAME) {
                String field = parser.currentName();
                parser.nextToken();
                switch (field) {
                    case "added_tokens" -> addedTokens(parser, ids);
                    case "model" -> model(parser, ids);
                    case "decoder" -> {
                        decoder = parser.currentToken() != JsonToken.VALUE_NULL;
                        bytes = mentionsByteLevel(parser);
                    }
                    default -> parser.skipChildren();
                }
            }
        }
        return new VocabularyEntries(ids, decoder, bytes);
    }

    private static void addedTokens(JsonParser parser, Map<String, Integer> ids) throws IOException {
        while (parser.nextToken() == JsonToken.START_OBJECT) {
            String content = "";
            int id = -1;
            while (parser.nextToken() == JsonToken.FIELD_NAME) {
                String field = parser.currentName();
                parser.nextToken();
                if (field.equals("content")) {
                    content = parser.getText();
                } else if (field.equals("id")) {
                    id = parser.getIntValue();
                }
                parser.skipChildren();
            }
            ids.put(content, id);
        }
    }

    private static void model(JsonParser parser, Map<String, Integer> ids) throws IOException {
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
            String field = parser.currentName();
            JsonToken value = parser.nextToken();
            if (!field.equals("vocab")) {
                parser.skipChildren();
            } else if (value == JsonToken.START_OBJECT) {
                while (parser.nextToken() == JsonToken.FIELD_NAME) {
                    ids.putIfAbsent(parser.currentName(), parser.nextIntValue(-1));
                }
            } else {
                for (int id = 0; parser.nextToken() == JsonToken.START_ARRAY; id++) {
                    ids.putIfAbsent(parser.nextTextValue(), id);
                    parser.nextToken();
                    parser.nextToken();
                }
            }
        }
    }

    /** Whether the decoder is ByteLevel, alone or in a sequence. */
    private static boolean mentionsByteLevel(JsonParser parser) throws IOException {
        boolean found = false;
        int depth = 0;
        do {
            JsonToken token = parser.currentToken();
            depth += token.isStructStart() ? 1 : token.isStructEnd() ? -1 : 0;
            found |= token == JsonToken.VALUE_STRING && Objects.equals(parser.currentName(), "type")
                    && parser.getText().equals("ByteLevel");
        } while (depth > 0 && parser.nextToken() != null);
        return found;
    }
}

package obsprop.cli.tokens;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import obsprop.tensor.io.Json;

/**
 * The entries of a {@code tokenizer.json}, read from it because the native library does not tell them: the model's
 * vocabulary (an object of entry to id, or Unigram's array of [entry, score]) and the added tokens.
 *
 * @param ids every entry's id
 * @param bytes whether entries are spelled in GPT-2's letters for bytes
 */
record VocabularyEntries(Map<String, Integer> ids, boolean bytes) {
    /** @throws obsprop.tensor.io.FormatException where it is no JSON */
    static VocabularyEntries read(String json) {
        Json tokenizer = Json.parse(json, "tokenizer.json", Json.Dialect.STRICT);
        Map<String, Integer> ids = new HashMap<>();
        Json vocabulary = member(member(tokenizer, "model"), "vocab");
        if (vocabulary instanceof Json.Obj object) {
            for (Map.Entry<String, Json> entry : object.members().entrySet()) {
                ids.put(entry.getKey(), id(entry.getValue()));
            }
        }
        List<Json> pairs = items(vocabulary);
        for (int id = 0; id < pairs.size(); id++) {
            List<Json> pair = items(pairs.get(id));
            if (!pair.isEmpty()) {
                ids.putIfAbsent(text(pair.getFirst()), id);
            }
        }
        for (Json token : items(member(tokenizer, "added_tokens"))) {
            ids.put(text(member(token, "content")), id(member(token, "id")));
        }
        return new VocabularyEntries(ids, mentionsByteLevel(member(tokenizer, "decoder")));
    }

    /** Whether a decoder is ByteLevel, alone or in a sequence. */
    private static boolean mentionsByteLevel(Json decoder) {
        if (text(member(decoder, "type")).equals("ByteLevel")) {
            return true;
        }
        for (Json part : items(member(decoder, "decoders"))) {
            if (mentionsByteLevel(part)) {
                return true;
            }
        }
        return false;
    }

    private static Json member(Json object, String key) {
        return object instanceof Json.Obj given ? given.members().getOrDefault(key, new Json.Null()) : new Json.Null();
    }

    private static List<Json> items(Json array) {
        return array instanceof Json.Arr given ? given.items() : List.of();
    }

    private static String text(Json string) {
        return string instanceof Json.Str given ? given.value() : "";
    }

    private static int id(Json number) {
        try {
            return number instanceof Json.Num given ? Integer.parseInt(given.text()) : -1;
        } catch (NumberFormatException e) {
            return -1;
        }
    }
}

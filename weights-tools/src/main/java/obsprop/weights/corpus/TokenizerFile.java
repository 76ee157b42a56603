package obsprop.weights.corpus;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import obsprop.tensor.io.FormatException;
import obsprop.tensor.io.Json;
import obsprop.weights.JsonText;

/** {@link WordTokenizer} as a Hugging Face {@code tokenizer.json}. */
public final class TokenizerFile {
    private TokenizerFile() {}

    /** The content of {@code tokenizer.json}. */
    public static String text(WordTokenizer tokenizer) {
        Map<String, Object> vocabulary = new LinkedHashMap<>();
        for (String entry : tokenizer.entries()) {
            vocabulary.put(entry, vocabulary.size());
        }
        Map<String, Object> file = new LinkedHashMap<>();
        file.put("version", "1.0");
        file.put("added_tokens", List.of(JsonText.object(
                "id", tokenizer.separator(), "content", WordTokenizer.SEPARATOR, "single_word", false,
                "lstrip", false, "rstrip", false, "normalized", false, "special", true)));
        file.put("pre_tokenizer", byteLevel());
        file.put("decoder", byteLevel());
        file.put("model", JsonText.object(
                "type", "BPE", "fuse_unk", false, "byte_fallback", false, "ignore_merges", true,
                "vocab", vocabulary, "merges", List.of()));
        return JsonText.pretty(file);
    }

    /** The content of {@code tokenizer_config.json}. */
    public static String configText() {
        return JsonText.pretty(JsonText.object(
                "tokenizer_class", "PreTrainedTokenizerFast", "bos_token", WordTokenizer.SEPARATOR,
                "eos_token", WordTokenizer.SEPARATOR, "clean_up_tokenization_spaces", false));
    }

    private static Map<String, Object> byteLevel() {
        return JsonText.object("type", "ByteLevel", "add_prefix_space", false, "trim_offsets", false, "use_regex", true);
    }

    /**
     * Reads what {@link #text} wrote.
     *
     * @throws FormatException if it is another kind of tokenizer
     */
    public static WordTokenizer read(Path file) {
        if (Json.read(file, Json.Dialect.STRICT) instanceof Json.Obj(Map<String, Json> root)
                && root.get("model") instanceof Json.Obj(Map<String, Json> model)
                && model.get("ignore_merges") instanceof Json.Bool(boolean words) && words
                && model.get("vocab") instanceof Json.Obj(Map<String, Json> vocabulary)) {
            Map<Integer, String> byId = new TreeMap<>();
            vocabulary.forEach((entry, id) -> {
                if (id instanceof Json.Num(String number)) {
                    byId.put(Integer.parseInt(number), entry);
                }
            });
            List<String> entries = new ArrayList<>(byId.values());
            if (Collections.max(byId.keySet()) == entries.size() - 1
                    && entries.getLast().equals(WordTokenizer.SEPARATOR)) {
                return WordTokenizer.ofEntries(entries);
            }
        }
        throw FormatException.in(file, "is not a word tokenizer as `weights corpus` writes it");
    }
}

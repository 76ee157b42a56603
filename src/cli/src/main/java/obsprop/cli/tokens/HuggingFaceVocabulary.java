package obsprop.cli.tokens;

import ai.djl.huggingface.tokenizers.jni.TokenizersLibrary;
import com.fasterxml.jackson.core.JsonProcessingException;
import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import obsprop.cli.UsageException;
import obsprop.cli.output.Json;

/** A Hugging Face {@code tokenizer.json}, through DJL's native library. Not for use by several threads at once. */
public final class HuggingFaceVocabulary implements Vocabulary {
    private static final char REPLACEMENT = '\uFFFD';

    private final TokenizersLibrary library;
    private final long tokenizer;
    private final int size;
    private final VocabularyEntries entries;
    private final Map<Integer, String> spellings = new HashMap<>();
    private boolean open = true;

    private HuggingFaceVocabulary(TokenizersLibrary library, long tokenizer, int size, VocabularyEntries entries) {
        this.library = library;
        this.tokenizer = tokenizer;
        this.size = size;
        this.entries = entries;
        entries.ids().forEach((entry, id) -> spellings.put(id, entry));
    }

    /** The tokenizer of the model directory {@code model}, whose logits are {@code size} long. */
    public static Vocabulary of(Path model, int size) {
        Path file = model.resolve("tokenizer.json");
        if (!Files.exists(file)) {
            return new IdVocabulary(size, "there is no " + file);
        }
        try {
            String json = Files.readString(file);
            VocabularyEntries entries = VocabularyEntries.read(json);
            TokenizersLibrary library = TokenizerLibrary.load();
            long tokenizer = create(library, json, file);
            // A file may ask for truncation or padding; a prompt must be what was written.
            library.disableTruncation(tokenizer);
            library.disablePadding(tokenizer);
            return new HuggingFaceVocabulary(library, tokenizer, size, entries);
        } catch (JsonProcessingException e) {
            throw new UsageException(file + " is no JSON (" + Json.problem(e) + "): fetch it again", e);
        } catch (CharacterCodingException e) {
            throw new UsageException(file + " is not UTF-8: fetch it again", e);
        } catch (IOException e) {
            throw new UsageException("cannot read " + file + " (" + firstLine(e) + "): fetch it again", e);
        }
    }

    private static long create(TokenizersLibrary library, String json, Path file) {
        try {
            return library.createTokenizerFromString(json);
        } catch (RuntimeException e) {
            throw new UsageException(file + " is no tokenizer that can be read (" + firstLine(e) + "): fetch it again", e);
        }
    }

    private static String firstLine(Exception e) {
        return String.valueOf(e.getMessage()).lines().findFirst().orElse("");
    }

    @Override
    public int size() {
        return size;
    }

    @Override
    public List<Piece> encode(String text) {
        return encode(text, false);
    }

    @Override
    public List<Piece> encodeWithSpecialTokens(String text) {
        return encode(text, true);
    }

    private List<Piece> encode(String text, boolean specialTokens) {
        if (!open) {
            throw new IllegalStateException("this vocabulary is closed");
        }
        if (text.codePoints().anyMatch(c -> c >= Character.MIN_SURROGATE && c <= Character.MAX_SURROGATE)) {
            throw new UsageException("the text '" + text + "' holds half of a surrogate pair: write both halves");
        }
        long encoding = encoding(text, specialTokens);
        try {
            long[] ids = library.getTokenIds(encoding);
            String[] tokens = library.getTokens(encoding);
            List<Piece> pieces = new ArrayList<>(ids.length);
            for (int i = 0; i < ids.length; i++) {
                pieces.add(new Piece(Math.toIntExact(ids[i]), tokens[i]));
            }
            return pieces;
        } finally {
            library.deleteEncoding(encoding);
        }
    }

    private long encoding(String text, boolean specialTokens) {
        try {
            return library.encode(tokenizer, text, specialTokens);
        } catch (RuntimeException e) {
            throw new UsageException("the tokenizer cannot cut the text '" + text + "' (" + firstLine(e)
                    + "): change the text or give ids", e);
        }
    }

    @Override
    public OptionalInt literal(String entry) {
        Integer id = entries.ids().get(entry);
        return id == null ? OptionalInt.empty() : OptionalInt.of(id);
    }

    @Override
    public String text(int id) {
        String entry = spellings.getOrDefault(id, "#" + id);
        if (!entries.bytes() || !open) {
            return entry;
        }
        String decoded = library.decode(tokenizer, new long[] {id}, false);
        return decoded.isEmpty() || decoded.indexOf(REPLACEMENT) >= 0 ? entry : decoded;
    }

    @Override
    public Optional<String> decode(int[] ids) {
        if (!entries.decoder() || !open) {
            return Optional.empty();
        }
        String text = library.decode(tokenizer, Arrays.stream(ids).asLongStream().toArray(), false);
        boolean cut = !text.isEmpty() && (text.charAt(0) == REPLACEMENT || text.charAt(text.length() - 1) == REPLACEMENT);
        return cut ? Optional.empty() : Optional.of(text);
    }

    @Override
    public void close() {
        if (open) {
            open = false;
            library.deleteTokenizer(tokenizer);
        }
    }
}

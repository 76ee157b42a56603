package obsprop.weights.corpus;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeSet;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Words as tokens, bytes for what is no word: text is cut as GPT-2 cuts it (a word keeps its leading space), a piece in
 * the vocabulary is one token, any other is spelled in UTF-8 bytes, so every text round-trips.
 *
 * <p>In {@code tokenizer.json} this is a byte-level BPE without merges that looks whole pieces up first
 * ({@code ignore_merges}). Ids 0 to 255 are the bytes, then the words in order of code points, then the separator.
 */
public final class WordTokenizer {
    /** Stands before, after and between documents. */
    public static final String SEPARATOR = "<|endoftext|>";

    private static final Pattern PIECE = Pattern.compile(
            "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
            Pattern.UNICODE_CHARACTER_CLASS);
    private static final int BYTES = 256;

    private final List<String> entries;
    private final Map<String, Integer> ids = new HashMap<>();

    private WordTokenizer(List<String> entries) {
        this.entries = entries;
        for (int id = 0; id < entries.size(); id++) {
            ids.put(entries.get(id), id);
        }
    }

    /** The vocabulary of {@code texts}: every piece of more than one byte becomes a word. */
    public static WordTokenizer ofPieces(Iterable<String> texts) {
        TreeSet<String> words = new TreeSet<>();
        for (String text : texts) {
            for (Matcher piece = PIECE.matcher(text); piece.find(); ) {
                String entry = visible(piece.group());
                if (entry.length() > 1) {
                    words.add(entry);
                }
            }
        }
        List<String> entries = new ArrayList<>(BYTES + words.size() + 1);
        for (int b = 0; b < BYTES; b++) {
            entries.add(String.valueOf(visible(b)));
        }
        entries.addAll(words);
        entries.add(SEPARATOR);
        return new WordTokenizer(entries);
    }

    /** From the entries of a vocabulary in order of id, as {@code tokenizer.json} lists them, the separator last. */
    static WordTokenizer ofEntries(List<String> entries) {
        return new WordTokenizer(List.copyOf(entries));
    }

    /** Number of ids. */
    public int size() {
        return entries.size();
    }

    public int separator() {
        return entries.size() - 1;
    }

    /** Vocabulary entries by id: bytes shown as printable characters, as GPT-2 does ({@code "Ġshe"}). */
    public List<String> entries() {
        return entries;
    }

    /** The id of {@code text} if it is exactly one token. */
    public Optional<Integer> token(String text) {
        int[] encoded = encode(text);
        return encoded.length == 1 ? Optional.of(encoded[0]) : Optional.empty();
    }

    /** Ids of {@code text}; no separator is added. */
    public int[] encode(String text) {
        return Arrays.stream(encodeWithOffsets(text)).mapToInt(Token::id).toArray();
    }

    /** Ids of {@code text}, each with the index of its piece's first character. */
    public Token[] encodeWithOffsets(String text) {
        List<Token> tokens = new ArrayList<>();
        for (Matcher piece = PIECE.matcher(text); piece.find(); ) {
            String entry = visible(piece.group());
            Integer word = ids.get(entry);
            if (word != null) {
                tokens.add(new Token(word, piece.start()));
            } else {
                for (char c : entry.toCharArray()) {
                    tokens.add(new Token(ids.get(String.valueOf(c)), piece.start()));
                }
            }
        }
        return tokens.toArray(Token[]::new);
    }

    /** One token and where its piece starts. */
    public record Token(int id, int offset) {}

    private static String visible(String piece) {
        StringBuilder out = new StringBuilder();
        for (byte b : piece.getBytes(StandardCharsets.UTF_8)) {
            out.append(visible(b & 0xFF));
        }
        return out.toString();
    }

    /** GPT-2's stand-in for byte {@code b}: itself where it prints, else the next free character from U+0100. */
    private static char visible(int b) {
        if (b >= '!' && b <= '~' || b >= 0xA1 && b <= 0xAC || b >= 0xAE) {
            return (char) b;
        }
        if (b <= ' ') {
            return (char) (0x100 + b);
        }
        return (char) (b == 0xAD ? 0x143 : 0x100 + 33 + b - 0x7F);
    }
}

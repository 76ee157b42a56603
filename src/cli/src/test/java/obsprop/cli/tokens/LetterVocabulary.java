package obsprop.cli.tokens;

import java.util.List;
import java.util.OptionalInt;

/** For tests: a token a letter, from {@code a} with id 0, and the entry {@code <s>} with the id 26. */
record LetterVocabulary(int size) implements Vocabulary {
    @Override
    public List<Piece> encode(String text) {
        return text.chars().mapToObj(c -> new Piece(c - 'a', Character.toString(c))).toList();
    }

    @Override
    public List<Piece> encodeWithSpecialTokens(String text) {
        return encode(text);
    }

    @Override
    public OptionalInt literal(String entry) {
        return entry.equals("<s>") ? OptionalInt.of(26) : OptionalInt.empty();
    }

    @Override
    public String text(int id) {
        return id == 26 ? "<s>" : Character.toString('a' + id);
    }

    @Override
    public void close() {
    }
}

package obsprop.cli.tokens;

import java.util.List;
import java.util.OptionalInt;
import obsprop.cli.UsageException;

/** The vocabulary of a model directory without a tokenizer: ids are all there is. */
public record IdVocabulary(int size, String reason) implements Vocabulary {
    @Override
    public List<Piece> encode(String text) {
        throw new UsageException("text needs a tokenizer, and " + reason
                + ": give ids instead, as in --token-ids 1,2,3 or --observable '#5 - #7'");
    }

    @Override
    public List<Piece> encodeWithSpecialTokens(String text) {
        return encode(text);
    }

    @Override
    public OptionalInt literal(String entry) {
        return OptionalInt.empty();
    }

    @Override
    public String text(int id) {
        return "#" + id;
    }

    @Override
    public void close() {
        // Holds nothing.
    }
}

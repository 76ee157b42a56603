package obsprop.cli.tokens;

import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;

/** The tokens of a model: text to ids and back. The engine knows ids only. */
public interface Vocabulary extends AutoCloseable {
    /** A token as a text was cut: its id, and the vocabulary's own spelling of it. */
    record Piece(int id, String entry) {
    }

    /** The number of ids, which is the length of the model's logits; ids run from 0. */
    int size();

    /**
     * Cuts {@code text} into tokens, adding none that is not in it (no BOS).
     *
     * @throws obsprop.cli.UsageException where there is no tokenizer, or the text is no valid Unicode
     */
    List<Piece> encode(String text);

    /** The same with the special tokens that the tokenizer was made to add, such as a BOS. */
    List<Piece> encodeWithSpecialTokens(String text);

    /** The id of the entry that the vocabulary spells exactly like this ({@code "▁she"}). */
    OptionalInt literal(String entry);

    /**
     * A readable form of the token {@code id} that names it without loss where there is one: the text where the
     * vocabulary spells bytes (GPT-2's {@code Ġshe} is {@code " she"}), else the vocabulary's entry.
     */
    String text(int id);

    /** What the tokens {@code ids} spell together; nothing where that is unknown, or they begin or end within a character. */
    default Optional<String> decode(int[] ids) {
        return Optional.empty();
    }

    @Override
    void close();
}

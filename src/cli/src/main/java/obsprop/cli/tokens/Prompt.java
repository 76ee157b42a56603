package obsprop.cli.tokens;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import obsprop.cli.UsageException;

/**
 * The tokens of one prompt.
 *
 * @param ids at least one, each in the vocabulary
 */
public record Prompt(List<Integer> ids) {
    /** An unmodifiable copy. */
    public Prompt {
        ids = List.copyOf(ids);
    }

    /** Tokens given as {@code 1,2,3}; {@code option} is named where they cannot be used. */
    public static Prompt ofIds(String list, String option, Vocabulary vocabulary) {
        List<Integer> ids = new ArrayList<>();
        for (String item : list.split(",", -1)) {
            ids.add(id(item.strip(), option, vocabulary.size()));
        }
        return new Prompt(ids);
    }

    private static int id(String item, String option, int size) {
        try {
            int id = Integer.parseInt(item);
            if (id >= 0 && id < size) {
                return id;
            }
        } catch (NumberFormatException e) {
            throw new UsageException(option + ": '" + item + "' is no token id: give numbers with commas between, as in 1,2,3", e);
        }
        throw new UsageException(option + ": " + item + " is not in the vocabulary: ids run from 0 to " + (size - 1));
    }

    /** The tokens that a text was cut into; {@code option}, which held the text, is named where they cannot be used. */
    public static Prompt ofPieces(List<Vocabulary.Piece> pieces, String option, Vocabulary vocabulary) {
        if (pieces.isEmpty()) {
            throw new UsageException(option + ": the prompt is empty: give at least one token");
        }
        for (Vocabulary.Piece piece : pieces) {
            if (piece.id() >= vocabulary.size()) {
                throw new UsageException(option + ": the tokenizer makes the token " + piece.entry() + " (#" + piece.id()
                        + "), but the model's ids end at " + (vocabulary.size() - 1) + ": the tokenizer.json is not this model's");
            }
        }
        return new Prompt(pieces.stream().map(Vocabulary.Piece::id).toList());
    }

    /** The number of tokens. */
    public int length() {
        return ids.size();
    }

    /** The ids as the engine takes them. */
    public int[] array() {
        return ids.stream().mapToInt(Integer::intValue).toArray();
    }

    /**
     * Checks that the prompt fits into a context of {@code context} tokens.
     *
     * @throws UsageException where it does not
     */
    public Prompt fitting(int context, String option) {
        if (length() > context) {
            throw new UsageException(option + ": the prompt has " + length() + " tokens, but the model's context holds " + context
                    + ": shorten it");
        }
        return this;
    }

    /**
     * The position that {@code position} means, counted from 0, or from the end where it is negative (-1 is the last).
     *
     * @throws UsageException where the prompt has no such token
     */
    public int position(int position, String option) {
        int resolved = position < 0 ? length() + position : position;
        if (resolved < 0 || resolved >= length()) {
            throw new UsageException(option + ": there is no token at position " + position + " in a prompt of " + length()
                    + ": give 0 to " + (length() - 1) + ", or -1 for the last");
        }
        return resolved;
    }

    /** Every token as {@link Vocabulary#text}. */
    public List<String> texts(Vocabulary vocabulary) {
        return IntStream.of(array()).mapToObj(vocabulary::text).toList();
    }
}

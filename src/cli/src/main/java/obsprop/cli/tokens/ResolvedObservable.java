package obsprop.cli.tokens;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import obsprop.cli.UsageException;
import obsprop.propagation.Observable;

/**
 * An observable of one vocabulary: which ids, with which weights. Every id occurs once, no weight is zero.
 *
 * @param name as given, else the sum as written
 * @param tokens at least one, in the order of their first mention
 */
public record ResolvedObservable(String name, List<TokenWeight> tokens) {
    /** A token with its weight; {@code text} is {@link Vocabulary#text}. */
    public record TokenWeight(int id, String text, double weight) {
    }

    /** An unmodifiable copy. */
    public ResolvedObservable {
        tokens = List.copyOf(tokens);
    }

    /**
     * Looks up the tokens of {@code spec}; those named twice are merged, their weights added.
     *
     * @throws UsageException where a token does not exist, or nothing is left of the sum
     */
    public static ResolvedObservable of(ObservableSpec spec, Vocabulary vocabulary) {
        Map<Integer, Double> weights = new LinkedHashMap<>();
        for (ObservableSpec.Term term : spec.terms()) {
            weights.merge(id(term.token(), vocabulary), term.weight(), Double::sum);
        }
        weights.values().removeIf(weight -> weight == 0);
        if (weights.isEmpty()) {
            throw new UsageException("observable '" + spec + "' adds up to nothing: give tokens with weights that do not cancel");
        }
        if (!weights.values().stream().allMatch(weight -> Float.isFinite(weight.floatValue()))) {
            throw new UsageException("observable '" + spec + "': the weights of a token add up to more than single precision"
                    + " holds: give smaller ones");
        }
        return new ResolvedObservable(spec.title(), weights.entrySet().stream()
                .map(token -> new TokenWeight(token.getKey(), vocabulary.text(token.getKey()), token.getValue())).toList());
    }

    /** As the engine takes it: ids and weights. */
    public Observable forEngine() {
        return new Observable(name, tokens.stream().mapToInt(TokenWeight::id).toArray(),
                tokens.stream().mapToDouble(TokenWeight::weight).toArray());
    }

    private static int id(ObservableSpec.TokenReference token, Vocabulary vocabulary) {
        int id = token instanceof ObservableSpec.Id named ? named.id() : id((ObservableSpec.Text) token, vocabulary);
        if (id >= vocabulary.size()) {
            throw new UsageException("token " + token + " of an observable has the id " + id + ", but the model's ids end at "
                    + (vocabulary.size() - 1) + ": choose another token");
        }
        return id;
    }

    private static int id(ObservableSpec.Text token, Vocabulary vocabulary) {
        List<Vocabulary.Piece> pieces = vocabulary.encode(token.text());
        if (pieces.size() == 1) {
            return pieces.getFirst().id();
        }
        return vocabulary.literal(token.text()).orElseThrow(() -> new UsageException("token " + token
                + " of an observable must be one token, but the tokenizer cuts it into "
                + (pieces.isEmpty() ? "nothing" : pieces.stream().map(ResolvedObservable::shown).collect(Collectors.joining(" ")))
                + ": mind leading spaces, or choose one token, by its text or by its id"));
    }

    private static String shown(Vocabulary.Piece piece) {
        return new ObservableSpec.Text(piece.entry()) + " (#" + piece.id() + ")";
    }
}

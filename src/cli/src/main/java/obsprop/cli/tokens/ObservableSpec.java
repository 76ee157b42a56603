package obsprop.cli.tokens;

import java.util.List;
import java.util.Optional;
import obsprop.cli.output.Visible;

/**
 * An observable as it was written: a weighted sum of tokens, under a name where one was given.
 *
 * @param name what stood before {@code =}
 * @param terms at least one
 */
public record ObservableSpec(Optional<String> name, List<Term> terms) {
    /** A weight, which is finite in single precision, and what it weighs. */
    public record Term(double weight, TokenReference token) {
    }

    /** How a token is named. */
    public sealed interface TokenReference {
    }

    /** By its text or, failing that, by the vocabulary's own spelling. */
    public record Text(String text) implements TokenReference {
        /** Quoted, as the parser reads it. */
        @Override
        public String toString() {
            return '"' + Visible.of(text.replace("\\", "\\\\").replace("\"", "\\\"")) + '"';
        }
    }

    /** By its id. */
    public record Id(int id) implements TokenReference {
        @Override
        public String toString() {
            return "#" + id;
        }
    }

    /** An unmodifiable copy. */
    public ObservableSpec {
        terms = List.copyOf(terms);
    }

    /** The name, or the sum itself where none was given. */
    public String title() {
        return name.orElseGet(this::sum);
    }

    /** The sum in the form that the parser reads, without the name. */
    private String sum() {
        StringBuilder sum = new StringBuilder();
        for (Term term : terms) {
            boolean negative = term.weight() < 0;
            double size = Math.abs(term.weight());
            sum.append(sum.isEmpty() ? (negative ? "-" : "") : (negative ? " - " : " + "))
                    .append(size == 1 ? "" : number(size) + "*").append(term.token());
        }
        return sum.toString();
    }

    private static String number(double size) {
        long whole = (long) size;
        return whole == size && whole != Long.MAX_VALUE ? Long.toString(whole) : Double.toString(size);
    }

    /** The whole in the form that the parser reads. */
    @Override
    public String toString() {
        return name.map(given -> given + "=").orElse("") + sum();
    }
}

package obsprop.analysis.patching;

/** The tokens {@code from <= t < to} of a prompt. */
public record Span(int from, int to) {
    public static Span of(int token) {
        return new Span(token, token + 1);
    }

    public int size() {
        return to - from;
    }
}

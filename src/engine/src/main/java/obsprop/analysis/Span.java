package obsprop.analysis;

/** The tokens {@code from <= t < to} of a prompt. */
record Span(int from, int to) {
    static Span of(int token) {
        return new Span(token, token + 1);
    }

    int size() {
        return to - from;
    }
}

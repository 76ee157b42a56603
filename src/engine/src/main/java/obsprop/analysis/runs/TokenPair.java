package obsprop.analysis.runs;

/** The tokens of a clean and a corrupted prompt, as many each. */
public record TokenPair(int[] clean, int[] corrupted) {
    public TokenPair {
        if (clean.length != corrupted.length) {
            throw new IllegalArgumentException("the clean prompt has " + clean.length + " tokens and the corrupted one "
                    + corrupted.length + ": patching needs prompts of equal length");
        }
    }

    /** The other direction. */
    public TokenPair swapped() {
        return new TokenPair(corrupted, clean);
    }
}

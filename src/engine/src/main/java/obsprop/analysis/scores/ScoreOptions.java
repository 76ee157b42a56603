package obsprop.analysis.scores;

/**
 * How a corpus is scored.
 *
 * @param k how many of the highest and of the lowest scores are kept
 * @param contextTokens how many tokens before and after such a token are kept with it
 * @param batchTokens windows run together up to this many tokens; a longer window runs alone
 * @param replicates of the bootstrap, for pairs of vectors
 * @param seed of the bootstrap
 */
public record ScoreOptions(int k, int contextTokens, int batchTokens, int replicates, long seed) {
    public static final ScoreOptions DEFAULT = new ScoreOptions(10, 12, 1024, 200, 0);

    public ScoreOptions {
        if (k < 0 || contextTokens < 0 || batchTokens < 1 || replicates < 0) {
            throw new IllegalArgumentException("k, context and replicates must not be negative, and a batch needs a token: "
                    + k + ", " + contextTokens + ", " + replicates + ", " + batchTokens);
        }
    }
}

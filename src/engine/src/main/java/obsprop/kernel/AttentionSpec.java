package obsprop.kernel;

/**
 * Score arithmetic of one causal attention layer.
 *
 * <p>{@code s = scale * q.k}; with a soft cap {@code s = cap * tanh(s / cap)}; the pattern is the softmax of s over the
 * permitted keys {@code max(0, t - window + 1) <= j <= t}.
 *
 * @param scale factor on q.k
 * @param window number of keys a query sees, itself included; {@link #NO_WINDOW} for all
 * @param softCap the cap in score units; {@link #NO_CAP} for none
 */
public record AttentionSpec(double scale, int window, double softCap) {
    public static final int NO_WINDOW = Integer.MAX_VALUE;
    public static final double NO_CAP = Double.POSITIVE_INFINITY;

    public AttentionSpec {
        if (window < 1 || !(softCap > 0)) {
            throw new IllegalArgumentException("window " + window + ", soft cap " + softCap + ": both must be positive");
        }
    }

    public boolean capped() {
        return softCap != NO_CAP;
    }

    /** First key that query position {@code t} may see. */
    public int firstKey(int t) {
        return window > t ? 0 : t - window + 1;
    }
}

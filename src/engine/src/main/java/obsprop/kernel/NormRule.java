package obsprop.kernel;

/**
 * How a normalisation is differentiated. With {@code g} the effective gain, {@code n} its width, {@code P = I - 11^T/n}
 * for LAYER and {@code I} for RMS, {@code xh = P x * rstd}:
 */
public enum NormRule {
    /** {@code dx = rstd * (P - xh xh^T / n) (g * dy)}: the true VJP (epsilon included). */
    EXACT,
    /** {@code dx = rstd * P (g * dy)}: 1/std held constant, centring still differentiates. */
    FROZEN,
    /** {@code dx = sqrt(n)/||x|| * g * dy}: the paper's approximation, no centring. */
    PAPER,
    /** {@code dx = g * dy}: no activation enters. */
    WEIGHT_ONLY,
    /** {@code dx = dy}: the norm is skipped. */
    NONE
}

package obsprop.analysis.patching;

/** Whether an effect passes the final norm. */
public enum FinalNorm {
    /** The difference is added to the clean final residual stream, then normed and unembedded. */
    ON,
    /** {@code y . difference} with {@code y = W_U^T n}; neither the norm nor a final soft cap enters. */
    OFF
}

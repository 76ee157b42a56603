package obsprop.analysis.patching;

/** What of an attention head is recomputed from the patched residual stream. */
public enum PatchMode {
    /** Queries, keys and values: the head has its own pattern. */
    FULL,
    /** Values only: the pattern is the clean one. */
    OV_ONLY
}

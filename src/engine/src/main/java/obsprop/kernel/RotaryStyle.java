package obsprop.kernel;

/** Which coordinates form the rotated pairs, of the first {@code 2m} of a head. */
public enum RotaryStyle {
    /** (i, i + m): GPT-NeoX, Llama and most others. */
    HALF_SPLIT,
    /** (2i, 2i + 1): GPT-J. */
    INTERLEAVED
}

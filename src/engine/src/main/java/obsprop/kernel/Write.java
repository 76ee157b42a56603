package obsprop.kernel;

/** What a kernel does to its output. */
public enum Write {
    /** {@code out = result}; what was there is not read. */
    OVERWRITE,
    /** {@code out += result}. */
    ACCUMULATE
}

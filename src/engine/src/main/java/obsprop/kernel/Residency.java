package obsprop.kernel;

/** Where a backend with memory of its own keeps the weights of a model's blocks. */
public enum Residency {
    /** In that memory, all of them, from the moment they are placed. */
    RESIDENT,
    /** On the host: a block's weights come over when they are needed, and make room for those of another. */
    STREAMED
}

package obsprop.tensor;

/** Where the memory of a {@link Tensor} lies. */
public enum Place {
    /** Off-heap memory that the JVM can read and write. */
    HOST,
    /** Memory of an accelerator: the segment's address is a device pointer, and only that backend may touch it. */
    DEVICE
}

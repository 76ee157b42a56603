package obsprop.propagation.path;

/**
 * Where an MLP, its norms included, is linearised. The points are residual streams before the MLP's norm; y is the
 * feature vector where the MLP writes, and {@code y . mlp(x)} what the MLP writes along it.
 */
public enum MlpPoint {
    /** The clean prompt's activation. */
    CLEAN,
    /** The corrupted prompt's activation. */
    CORRUPTED,
    /** The decision boundary {@code y . mlp(x) = 0} on the segment from the clean to the corrupted activation. */
    BOUNDARY,
    /** The point of the decision boundary nearest to the clean activation, in any direction. */
    NEAREST_BOUNDARY
}

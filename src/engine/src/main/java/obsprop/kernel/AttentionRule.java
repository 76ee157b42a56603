package obsprop.kernel;

/** How attention is differentiated. */
public enum AttentionRule {
    /** Through values and, by way of the softmax, queries and keys. */
    EXACT,
    /** The pattern is a constant: only the values carry the cotangent. */
    FROZEN
}

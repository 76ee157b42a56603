package obsprop.model;

/** What a forward pass keeps in its {@link ActivationCache}. */
public enum Keep {
    /** Every value the VJPs need, of every layer. */
    EVERYTHING,
    /** The residual stream entering each block; a VJP recomputes a block's inside when it gets there. */
    RESIDUALS,
    /** Only the residual stream where the pass stopped. */
    LAST
}

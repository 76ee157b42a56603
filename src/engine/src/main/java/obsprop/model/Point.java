package obsprop.model;

/** A point of the residual stream within a layer. */
public enum Point {
    /** What enters block l; at l = nLayers, what leaves the last block. */
    INPUT,
    /** Between attention and MLP of block l; parallel blocks have none. */
    MIDDLE
}

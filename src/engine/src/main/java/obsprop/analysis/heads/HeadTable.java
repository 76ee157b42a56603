package obsprop.analysis.heads;

import obsprop.tensor.Tensor;

/**
 * Inner products of K feature vectors at every head, and what follows from them. Heads are counted (layer, head); the
 * feature vectors in the order of the directions they come from.
 */
public final class HeadTable {
    private final Tensor gram;

    /** @param gram [L,H,K,K] in host memory */
    HeadTable(Tensor gram) {
        this.gram = gram;
    }

    public int nLayers() {
        return gram.size(0);
    }

    public int nHeads() {
        return gram.size(1);
    }

    /** K. */
    public int directions() {
        return gram.size(2);
    }

    /** {@code y_i . y_j} at a head. */
    public double dot(int layer, int head, int i, int j) {
        return gram.get(layer, head, i, j);
    }

    /** {@code ||y_i||} at a head. */
    public double norm(int layer, int head, int i) {
        return Math.sqrt(Math.max(0, dot(layer, head, i, i)));
    }

    /** Cosine of the feature vectors i and j at a head; NaN where one of them is zero. */
    public double cosine(int layer, int head, int i, int j) {
        return Math.clamp(dot(layer, head, i, j) / (norm(layer, head, i) * norm(layer, head, j)), -1, 1);
    }

    /** The coupling coefficient {@code y_from . y_to / ||y_from||^2} at a head; NaN where y_from is zero. */
    public double coupling(int layer, int head, int from, int to) {
        return dot(layer, head, from, to) / dot(layer, head, from, from);
    }
}

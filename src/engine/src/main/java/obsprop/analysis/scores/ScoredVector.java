package obsprop.analysis.scores;

import java.util.Arrays;
import obsprop.model.Point;
import obsprop.model.Transformer;

/**
 * A vector and the point of the residual stream where it is scored.
 *
 * @param layer the block, or nLayers for the final residual stream (with {@link Point#INPUT})
 * @param vector [d]
 */
public record ScoredVector(String name, int layer, Point point, double[] vector) {
    public ScoredVector {
        vector = vector.clone();
    }

    /** Number of blocks that must run before the vector can be scored. */
    int depth() {
        return point == Point.INPUT ? layer : layer + 1;
    }

    /** @throws IllegalArgumentException if the model has no such point, or vectors of another length */
    public void requireWithin(Transformer model) {
        int layers = model.config().nLayers();
        if (layer < 0 || depth() > layers) {
            throw new IllegalArgumentException("vector \"" + name + "\" lives at " + place() + ", but the model has the layers 0 to "
                    + (layers - 1) + " and the final residual stream, " + layers);
        }
        if (point == Point.MIDDLE && !model.block(layer).hasMiddle()) {
            throw new IllegalArgumentException("vector \"" + name + "\" lives at " + place() + ", but that block runs attention"
                    + " and MLP in parallel: there is no point between them");
        }
        if (vector.length != model.config().dModel()) {
            throw new IllegalArgumentException("vector \"" + name + "\" has " + vector.length
                    + " elements, but the model's residual stream has " + model.config().dModel());
        }
        if (!Arrays.stream(vector).allMatch(Double::isFinite)) {
            throw new IllegalArgumentException("vector \"" + name + "\" has elements that are not finite");
        }
    }

    private String place() {
        return (point == Point.INPUT ? "the input" : "the middle") + " of layer " + layer;
    }
}

package obsprop.propagation;

import obsprop.model.Point;

/**
 * A place in the residual stream.
 *
 * @param layer the block, or nLayers for the final residual stream (with {@link Point#INPUT})
 * @param position token position, from 0, or from the end of the prompt with -1
 */
public record Site(int layer, Point point, int position) {
    /** For example {@code residual2@3} or {@code residual2.middle@3}. */
    @Override
    public String toString() {
        return "residual" + layer + (point == Point.MIDDLE ? ".middle" : "") + "@" + position;
    }
}

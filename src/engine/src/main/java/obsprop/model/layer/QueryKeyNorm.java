package obsprop.model.layer;

import obsprop.tensor.Tensor;

/**
 * Norms on the projected queries and keys, before any rotation.
 *
 * @param reach over what they normalise
 */
public record QueryKeyNorm(Norm query, Norm key, Reach reach) {
    /** What one norm spans. */
    public enum Reach {
        /** Each head by itself: rows of width D. */
        HEAD,
        /** All heads together: rows of width H D. */
        ALL_HEADS;

        /** Presents heads [N,H,D] as the rows that are normalised together. */
        Tensor rows(Tensor heads) {
            return this == HEAD ? heads : heads.flatten(1);
        }

        /** Shape of the statistics of {@code rows} rows of {@code heads} heads. */
        int[] statsShape(int rows, int heads) {
            return this == HEAD ? new int[] {rows, heads, 2} : new int[] {rows, 2};
        }
    }
}

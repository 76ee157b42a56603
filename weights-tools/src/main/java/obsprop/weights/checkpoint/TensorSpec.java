package obsprop.weights.checkpoint;

import java.util.List;

/**
 * A parameter as a checkpoint stores it.
 *
 * @param fanIn number of inputs that an output of this weight sums over; 1 where it is no matrix
 */
public record TensorSpec(String name, Role role, int fanIn, List<Integer> shape) {
    /** What a parameter does, hence how it is initialised. */
    public enum Role {
        /** Token or position embedding. */
        EMBEDDING,
        /** Matrix of a linear map. */
        WEIGHT,
        /** Matrix of a linear map that writes to the residual stream. */
        OUTPUT_WEIGHT,
        BIAS,
        /** Gain of a norm, near 1. */
        GAIN,
        /** Gain of a norm that stores gain - 1, near 0. */
        GAIN_MINUS_ONE
    }

    public long elements() {
        return shape.stream().mapToLong(Integer::longValue).reduce(1, Math::multiplyExact);
    }
}

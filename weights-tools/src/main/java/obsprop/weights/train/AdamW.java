package obsprop.weights.train;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.LinkedHashMap;
import java.util.SequencedMap;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;

/**
 * Adam with decoupled weight decay (Loshchilov and Hutter). Matrices decay; gains and biases do not.
 *
 * <pre>
 * m = beta1 m + (1 - beta1) g        v = beta2 v + (1 - beta2) g^2
 * w = w - rate (m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + epsilon) + decay w)
 * </pre>
 */
final class AdamW {
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;
    private static final double BETA1 = 0.9;
    private static final double BETA2 = 0.99;
    private static final double EPSILON = 1e-8;

    private final Parameters parameters;
    private final double decay;
    private final SequencedMap<String, Tensor> moments = new LinkedHashMap<>();

    /** @param decay how much of a matrix goes per step, as a multiple of the learning rate */
    AdamW(Parameters parameters, double decay, Arena arena) {
        this.parameters = parameters;
        this.decay = decay;
        for (String name : parameters.names()) {
            Tensor value = parameters.value(name);
            if (value.dtype() != DType.F32 || !value.isContiguous()) {
                throw new IllegalArgumentException("training needs F32 weights, but " + name + " is " + value);
            }
            moments.put("first." + name, Tensor.allocate(arena, DType.F32, value.shape()));
            moments.put("second." + name, Tensor.allocate(arena, DType.F32, value.shape()));
        }
    }

    /** First and second moments by {@code first.NAME} and {@code second.NAME}, to be saved and restored. */
    SequencedMap<String, Tensor> moments() {
        return moments;
    }

    /**
     * One step along the gradients.
     *
     * @param step from 1
     * @param scale factor on the gradients, from clipping
     */
    void step(int step, double rate, double scale) {
        double correction1 = 1 - Math.pow(BETA1, step);
        double correction2 = 1 - Math.pow(BETA2, step);
        for (String name : parameters.names()) {
            Tensor value = parameters.value(name);
            double keep = 1 - (value.rank() > 1 ? rate * decay : 0);
            MemorySegment w = value.segment();
            MemorySegment g = parameters.gradient(name).segment();
            MemorySegment m = moments.get("first." + name).segment();
            MemorySegment v = moments.get("second." + name).segment();
            for (long at = 0; at < value.elements() * 4; at += 4) {
                double gradient = scale * g.get(FLOAT, at);
                double first = BETA1 * m.get(FLOAT, at) + (1 - BETA1) * gradient;
                double second = BETA2 * v.get(FLOAT, at) + (1 - BETA2) * gradient * gradient;
                double move = rate * (first / correction1) / (Math.sqrt(second / correction2) + EPSILON);
                w.set(FLOAT, at, (float) (keep * w.get(FLOAT, at) - move));
                m.set(FLOAT, at, (float) first);
                v.set(FLOAT, at, (float) second);
            }
        }
    }

    /** Euclidean norm of all gradients together. */
    double gradientNorm() {
        double squares = 0;
        for (String name : parameters.names()) {
            Tensor gradient = parameters.gradient(name);
            MemorySegment g = gradient.segment();
            for (long at = 0; at < gradient.elements() * 4; at += 4) {
                double value = g.get(FLOAT, at);
                squares += value * value;
            }
        }
        return Math.sqrt(squares);
    }
}

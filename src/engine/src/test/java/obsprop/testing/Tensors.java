package obsprop.testing;

import java.lang.foreign.Arena;
import java.util.Random;
import java.util.function.DoubleSupplier;
import obsprop.kernel.Kernels;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;

/** Making and filling tensors in tests. */
public final class Tensors {
    private Tensors() {}

    /** Uniform in {@code [-magnitude, magnitude]}, rounded to {@code type}. */
    public static Tensor random(Arena arena, DType type, Random random, double magnitude, int... shape) {
        Tensor tensor = Tensor.allocate(arena, type, shape);
        fill(tensor, () -> magnitude * (2 * random.nextDouble() - 1));
        return tensor;
    }

    /** A host F64 tensor. */
    public static Tensor of(Arena arena, double[] values, int... shape) {
        Tensor tensor = Tensor.allocate(arena, DType.F64, shape);
        int[] next = {0};
        fill(tensor, () -> values[next[0]++]);
        return tensor;
    }

    /** A host copy of what may lie on a device. */
    public static Tensor onHost(Arena arena, Kernels kernels, Tensor x) {
        Tensor host = Tensor.allocate(arena, x.dtype(), x.shape());
        kernels.copy(x, host);
        return host;
    }

    /** Sets every element, in row-major order. */
    public static void fill(Tensor tensor, DoubleSupplier values) {
        if (tensor.rank() == 1) {
            for (int i = 0; i < tensor.size(0); i++) {
                tensor.set(values.getAsDouble(), i);
            }
            return;
        }
        for (int i = 0; i < tensor.size(0); i++) {
            fill(tensor.select(0, i), values);
        }
    }

    public static double[] random(Random random, double magnitude, int length) {
        return random.doubles(length, -magnitude, magnitude).toArray();
    }

    /** The largest absolute value. */
    public static double largest(Tensor tensor) {
        double largest = 0;
        for (double value : tensor.toDoubles()) {
            largest = Math.max(largest, Math.abs(value));
        }
        return largest;
    }

    /** The largest absolute difference between two tensors of one shape. */
    public static double largestDifference(Tensor a, Tensor b) {
        double[] left = a.toDoubles();
        double[] right = b.toDoubles();
        double largest = 0;
        for (int i = 0; i < left.length; i++) {
            largest = Math.max(largest, Math.abs(left[i] - right[i]));
        }
        return largest;
    }
}

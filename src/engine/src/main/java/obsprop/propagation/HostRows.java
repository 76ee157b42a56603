package obsprop.propagation;

import java.lang.foreign.Arena;
import obsprop.kernel.Kernels;
import obsprop.tensor.Tensor;

/** Single rows between where the kernels compute and plain arrays. */
public final class HostRows {
    private HostRows() {}

    /** The elements of a contiguous row [1,d] or vector. */
    public static double[] read(Kernels kernels, Tensor row) {
        try (Arena arena = Arena.ofConfined()) {
            Tensor host = Tensor.allocate(arena, row.dtype(), row.shape());
            kernels.copy(row, host);
            return host.toDoubles();
        }
    }

    /** Sets row [1,d], rounding to its type. */
    public static void write(Kernels kernels, double[] values, Tensor row) {
        try (Arena arena = Arena.ofConfined()) {
            Tensor host = Tensor.allocate(arena, row.dtype(), 1, values.length);
            for (int i = 0; i < values.length; i++) {
                host.set(values[i], 0, i);
            }
            kernels.copy(host, row);
        }
    }

    /** {@code a . b}. */
    public static double dot(double[] a, double[] b) {
        double sum = 0;
        for (int i = 0; i < a.length; i++) {
            sum += a[i] * b[i];
        }
        return sum;
    }

    /** The length of a vector. */
    public static double norm(double[] a) {
        return Math.sqrt(dot(a, a));
    }

    /** {@code a + scale * b}. */
    public static double[] plus(double[] a, double scale, double[] b) {
        double[] out = a.clone();
        for (int i = 0; i < a.length; i++) {
            out[i] += scale * b[i];
        }
        return out;
    }
}

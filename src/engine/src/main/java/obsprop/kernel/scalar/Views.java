package obsprop.kernel.scalar;

import obsprop.kernel.Write;
import obsprop.tensor.Tensor;

/** Reading and writing whole views, of any strides, in double. */
final class Views {
    private Views() {}

    /** {@code vector (+)= values}. */
    static void write(double[] values, Tensor vector, Write write) {
        for (int i = 0; i < values.length; i++) {
            put(values[i], vector, i, write);
        }
    }

    static void put(double value, Tensor vector, int i, Write write) {
        vector.set(write == Write.ACCUMULATE ? vector.get(i) + value : value, i);
    }

    /** {@code to (+)= alpha * from}, for views of one shape. */
    static void scaled(double alpha, Tensor from, Tensor to, Write write) {
        if (to.rank() == 1) {
            for (int i = 0; i < to.size(0); i++) {
                put(alpha * from.get(i), to, i, write);
            }
            return;
        }
        for (int i = 0; i < to.size(0); i++) {
            scaled(alpha, from.select(0, i), to.select(0, i), write);
        }
    }

    static void zero(Tensor x) {
        if (x.rank() == 1) {
            write(new double[x.size(0)], x, Write.OVERWRITE);
            return;
        }
        for (int i = 0; i < x.size(0); i++) {
            zero(x.select(0, i));
        }
    }

    static double dot(double[] a, double[] b) {
        double sum = 0;
        for (int i = 0; i < a.length; i++) {
            sum += a[i] * b[i];
        }
        return sum;
    }

    /** {@code y += alpha * x}. */
    static void add(double alpha, double[] x, double[] y) {
        for (int i = 0; i < y.length; i++) {
            y[i] += alpha * x[i];
        }
    }
}

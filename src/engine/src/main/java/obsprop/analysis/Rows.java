package obsprop.analysis;

import java.lang.foreign.Arena;
import obsprop.kernel.Kernels;
import obsprop.kernel.Transpose;
import obsprop.kernel.Write;
import obsprop.tensor.Tensor;

/** Small results brought to the host. */
final class Rows {
    private Rows() {}

    /** A copy in host memory, of the same type. */
    static Tensor host(Kernels kernels, Tensor x, Arena to) {
        Tensor host = Tensor.allocate(to, x.dtype(), x.shape());
        kernels.copy(x, host);
        return host;
    }

    /** {@code x[r] . y[i]} as [R][K], for x [R,d] and y [K,d]. */
    static double[][] products(Kernels kernels, Tensor x, Tensor y) {
        try (Arena arena = Arena.ofShared()) {
            Tensor products = kernels.allocate(arena, x.size(0), y.size(0));
            kernels.gemm(x, Transpose.NO, y, Transpose.YES, products, Write.OVERWRITE);
            return matrix(kernels, products);
        }
    }

    /** The elements of x [R,n] as doubles. */
    static double[][] matrix(Kernels kernels, Tensor x) {
        try (Arena arena = Arena.ofShared()) {
            Tensor host = host(kernels, x, arena);
            double[][] rows = new double[x.size(0)][];
            for (int r = 0; r < rows.length; r++) {
                rows[r] = host.select(0, r).toDoubles();
            }
            return rows;
        }
    }

    /** {@code x . row}, for x [1,n] and a row [n] or [1,n] of any real type. */
    static double dot(Kernels kernels, Tensor x, Tensor row) {
        try (Arena arena = Arena.ofShared()) {
            return dot(host(kernels, x, arena).toDoubles(), host(kernels, row, arena).toDoubles());
        }
    }

    static double dot(double[] a, double[] b) {
        double sum = 0;
        for (int i = 0; i < a.length; i++) {
            sum += a[i] * b[i];
        }
        return sum;
    }
}

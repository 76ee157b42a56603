package obsprop.analysis.runs;

import java.lang.foreign.Arena;
import obsprop.kernel.Kernels;
import obsprop.kernel.Transpose;
import obsprop.kernel.Write;
import obsprop.propagation.HostRows;
import obsprop.tensor.Tensor;

/** Small results brought to the host. */
public final class Rows {
    private Rows() {}

    /** {@code x[r] . y[i]} as [R][K], for x [R,d] and y [K,d]. */
    public static double[][] products(Kernels kernels, Tensor x, Tensor y) {
        try (Arena arena = Arena.ofShared()) {
            return products(kernels, x, y, kernels.allocate(arena, y.size(0), x.size(0)));
        }
    }

    /** The same by way of {@code products} [K,R]: x, of which there is more, is read in place. */
    static double[][] products(Kernels kernels, Tensor x, Tensor y, Tensor products) {
        kernels.gemm(y, Transpose.NO, x, Transpose.YES, products, Write.OVERWRITE);
        double[][] turned = matrix(kernels, products);
        double[][] rows = new double[x.size(0)][turned.length];
        for (int r = 0; r < rows.length; r++) {
            for (int i = 0; i < turned.length; i++) {
                rows[r][i] = turned[i][r];
            }
        }
        return rows;
    }

    /** The elements of x [R,n] as doubles. */
    public static double[][] matrix(Kernels kernels, Tensor x) {
        try (Arena arena = Arena.ofConfined()) {
            Tensor host = Tensor.allocate(arena, x.dtype(), x.shape());
            kernels.copy(x, host);
            double[][] rows = new double[x.size(0)][];
            for (int r = 0; r < rows.length; r++) {
                rows[r] = host.select(0, r).toDoubles();
            }
            return rows;
        }
    }

    /** {@code x . row}, for x [1,n] and a row [n] or [1,n] of any real type. */
    public static double dot(Kernels kernels, Tensor x, Tensor row) {
        return HostRows.dot(HostRows.read(kernels, x), HostRows.read(kernels, row));
    }
}

package obsprop.kernel.scalar;

import obsprop.kernel.Transpose;
import obsprop.kernel.Write;
import obsprop.tensor.Tensor;

/** Products, and rows from tables. */
final class ScalarDense {
    private ScalarDense() {}

    /** {@code c[i,j] (+)= sum_p op(a)[i,p] op(b)[p,j]}. */
    static void gemm(Tensor a, Transpose transA, Tensor b, Transpose transB, Tensor c, Write write) {
        int m = c.size(0);
        double[][] rows = new double[m][];
        for (int i = 0; i < m; i++) {
            rows[i] = a.select(transA == Transpose.NO ? 0 : 1, i).toDoubles();
        }
        for (int j = 0; j < c.size(1); j++) {
            double[] column = b.select(transB == Transpose.NO ? 1 : 0, j).toDoubles();
            Tensor out = c.select(1, j);
            for (int i = 0; i < m; i++) {
                Views.put(Views.dot(rows[i], column), out, i, write);
            }
        }
    }

    static void broadcast(Tensor row, Tensor y, Write write) {
        double[] values = row.toDoubles();
        for (int r = 0; r < y.size(0); r++) {
            Views.write(values, y.select(0, r), write);
        }
    }

    static void gather(Tensor table, int[] ids, double scale, Tensor y, Write write) {
        for (int r = 0; r < y.size(0); r++) {
            Views.scaled(scale, table.select(0, ids[r]), y.select(0, r), write);
        }
    }
}

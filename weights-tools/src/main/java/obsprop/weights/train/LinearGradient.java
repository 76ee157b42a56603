package obsprop.weights.train;

import java.lang.foreign.Arena;
import obsprop.kernel.Kernels;
import obsprop.kernel.Transpose;
import obsprop.kernel.Write;
import obsprop.model.layer.Linear;
import obsprop.tensor.Tensor;

/** Gradients of the weights of linear maps, added to those that are there. */
final class LinearGradient {
    private final Kernels kernels;
    private final Parameters parameters;
    private final Tensor ones;

    /** For batches of at most {@code rows} rows. */
    LinearGradient(Kernels kernels, Parameters parameters, Arena arena, int rows) {
        this.kernels = kernels;
        this.parameters = parameters;
        ones = kernels.allocate(arena, 1, rows);
        for (int r = 0; r < rows; r++) {
            ones.set(1, 0, r);
        }
    }

    /** Of {@code y = x W^T + b}: {@code dW += dy^T x}, {@code db += sum of dy}; dy [N,out], x [N,in]. */
    void add(Linear linear, Tensor dy, Tensor x) {
        Tensor dWeight = parameters.gradientOf(linear.weight());
        if (linear.layout() == Linear.Layout.OUT_IN) {
            kernels.gemm(dy, Transpose.YES, x, Transpose.NO, dWeight, Write.ACCUMULATE);
        } else {
            kernels.gemm(x, Transpose.YES, dy, Transpose.NO, dWeight, Write.ACCUMULATE);
        }
        linear.bias().ifPresent(bias -> addColumnSums(dy, parameters.gradientOf(bias)));
    }

    /** {@code sums[j] += sum_r dy[r,j]}. */
    void addColumnSums(Tensor dy, Tensor sums) {
        Tensor row = sums.reshape(1, sums.size(0));
        kernels.gemm(ones.slice(1, 0, dy.size(0)), Transpose.NO, dy, Transpose.NO, row, Write.ACCUMULATE);
    }
}

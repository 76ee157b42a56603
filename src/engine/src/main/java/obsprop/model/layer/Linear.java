package obsprop.model.layer;

import java.lang.foreign.Arena;
import java.util.Optional;
import obsprop.kernel.Kernels;
import obsprop.kernel.Transpose;
import obsprop.kernel.Write;
import obsprop.tensor.Tensor;

/**
 * {@code y = x W^T + b}, with the weight as the file stores it.
 *
 * @param weight [out, in] for {@link Layout#OUT_IN}, [in, out] for {@link Layout#IN_OUT}
 * @param bias [out], where there is one
 * @param transposed a copy of the weight with its axes exchanged, where the kernels want one
 */
public record Linear(Tensor weight, Layout layout, Optional<Tensor> bias, Optional<Tensor> transposed) {
    /** Order of the weight's axes. */
    public enum Layout {
        /** PyTorch's Linear. */
        OUT_IN(Transpose.YES, Transpose.NO),
        /** GPT-2's Conv1D. */
        IN_OUT(Transpose.NO, Transpose.YES);

        private final Transpose forward;
        private final Transpose backward;

        Layout(Transpose forward, Transpose backward) {
            this.forward = forward;
            this.backward = backward;
        }
    }

    /** Without a transposed copy: the weight may change. */
    public Linear(Tensor weight, Layout layout, Optional<Tensor> bias) {
        this(weight, layout, bias, Optional.empty());
    }

    /** The same map, with a transposed copy where the kernels want one; the weight must not change any more. */
    public Linear fixed(Kernels kernels, Arena arena) {
        return new Linear(weight, layout, bias, kernels.transposed(arena, weight));
    }

    public int inputs() {
        return weight.size(layout == Layout.OUT_IN ? 1 : 0);
    }

    public int outputs() {
        return weight.size(layout == Layout.OUT_IN ? 0 : 1);
    }

    /** {@code y (+)= x W^T + b}, x [N,in], y [N,out]. */
    public void forward(Kernels kernels, Tensor x, Tensor y, Write write) {
        if (bias.isPresent()) {
            kernels.broadcast(bias.get(), y, write);
            multiply(kernels, x, layout.forward, y, Write.ACCUMULATE);
        } else {
            multiply(kernels, x, layout.forward, y, write);
        }
    }

    /** Transposes {@code y = x W^T + b}: {@code dx (+)= dy W}, dy [R,out], dx [R,in]. */
    public void vjp(Kernels kernels, Tensor dy, Tensor dx, Write write) {
        multiply(kernels, dy, layout.backward, dx, write);
    }

    private void multiply(Kernels kernels, Tensor a, Transpose transpose, Tensor c, Write write) {
        if (transpose == Transpose.YES && transposed.isPresent()) {
            kernels.gemm(a, Transpose.NO, transposed.get(), Transpose.NO, c, write);
        } else {
            kernels.gemm(a, Transpose.NO, weight, transpose, c, write);
        }
    }

    /** The same map to the outputs {@code from <= o < to} only; a view. */
    public Linear outputs(int from, int to) {
        return slice(layout == Layout.OUT_IN ? 0 : 1, from, to, bias.map(b -> b.slice(0, from, to)));
    }

    /** The part of the map that reads the inputs {@code from <= i < to}, without the bias; a view. */
    public Linear inputs(int from, int to) {
        return slice(layout == Layout.OUT_IN ? 1 : 0, from, to, Optional.empty());
    }

    private Linear slice(int axis, int from, int to, Optional<Tensor> itsBias) {
        return new Linear(
                weight.slice(axis, from, to), layout, itsBias, transposed.map(t -> t.slice(1 - axis, from, to)));
    }
}

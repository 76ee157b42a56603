package obsprop.model.layer;

import java.util.Optional;
import obsprop.kernel.Activation;
import obsprop.kernel.Kernels;
import obsprop.kernel.Transpose;
import obsprop.kernel.Write;
import obsprop.tensor.Tensor;

/**
 * {@code y = x W^T + b}, with the weight as the file stores it.
 *
 * @param weight [out, in] for {@link Layout#OUT_IN}, [in, out] for {@link Layout#IN_OUT}
 * @param bias [out], where there is one
 */
public record Linear(Tensor weight, Layout layout, Optional<Tensor> bias) {
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

    public int inputs() {
        return weight.size(layout == Layout.OUT_IN ? 1 : 0);
    }

    public int outputs() {
        return weight.size(layout == Layout.OUT_IN ? 0 : 1);
    }

    /** {@code y (+)= x W^T + b}, x [N,in], y [N,out]. */
    public void forward(Kernels kernels, Tensor x, Tensor y, Write write) {
        kernels.linear(x, weight, layout.forward, bias, y, write);
    }

    /** {@code pre = x W^T + b} and {@code y = f(pre)}, x [N,in], pre and y [N,out]. */
    public void forward(Kernels kernels, Tensor x, Activation f, Tensor pre, Tensor y) {
        kernels.linearActivation(x, weight, layout.forward, bias, f, pre, y);
    }

    /** Transposes {@code y = x W^T + b}: {@code dx (+)= dy W}, dy [R,out], dx [R,in]. */
    public void vjp(Kernels kernels, Tensor dy, Tensor dx, Write write) {
        kernels.gemm(dy, Transpose.NO, weight, layout.backward, dx, write);
    }

    /** Transposes {@code y = f(x) W^T + b}: {@code dx = f'(x) * (dy W)}, dy [R,out], x [N,in], dx [R,in]. */
    public void vjp(Kernels kernels, Tensor dy, Activation f, Tensor x, Tensor dx) {
        kernels.activationLinearVjp(f, dy, weight, layout.backward, x, dx);
    }

    /** The same map to the outputs {@code from <= o < to} only; a view. */
    public Linear outputs(int from, int to) {
        Tensor rows = weight.slice(layout == Layout.OUT_IN ? 0 : 1, from, to);
        return new Linear(rows, layout, bias.map(b -> b.slice(0, from, to)));
    }

    /** The part of the map that reads the inputs {@code from <= i < to}, without the bias; a view. */
    public Linear inputs(int from, int to) {
        return new Linear(weight.slice(layout == Layout.OUT_IN ? 1 : 0, from, to), layout, Optional.empty());
    }
}

package obsprop.model.layer;

import java.lang.foreign.Arena;
import java.util.Optional;
import java.util.function.Supplier;
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
 * @param transposed a copy of the weight with its axes exchanged, where the kernels want one
 */
public record Linear(Tensor weight, Layout layout, Optional<Tensor> bias, Turned transposed) {
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

    /** A transposed copy, made when a product first wants it: some directions and many commands never do. */
    public static final class Turned {
        private static final Turned NONE = new Turned(Optional::empty);

        private final Supplier<Optional<Tensor>> make;
        private volatile Optional<Optional<Tensor>> made = Optional.empty();

        private Turned(Supplier<Optional<Tensor>> make) {
            this.make = make;
        }

        private Optional<Tensor> copy() {
            Optional<Optional<Tensor>> now = made;
            return now.isPresent() ? now.get() : makeOnce();
        }

        private synchronized Optional<Tensor> makeOnce() {
            if (made.isEmpty()) {
                made = Optional.of(make.get());
            }
            return made.get();
        }
    }

    /** Without a transposed copy: the weight may change. */
    public Linear(Tensor weight, Layout layout, Optional<Tensor> bias) {
        this(weight, layout, bias, Turned.NONE);
    }

    /** The same map, with a transposed copy where the kernels want one; the weight must not change any more. */
    public Linear fixed(Kernels kernels, Arena arena) {
        return new Linear(weight, layout, bias, new Turned(() -> kernels.transposed(arena, weight)));
    }

    public int inputs() {
        return weight.size(layout == Layout.OUT_IN ? 1 : 0);
    }

    public int outputs() {
        return weight.size(layout == Layout.OUT_IN ? 0 : 1);
    }

    /** {@code y (+)= x W^T + b}, x [N,in], y [N,out]. */
    public void forward(Kernels kernels, Tensor x, Tensor y, Write write) {
        kernels.linear(x, operand(layout.forward), sense(layout.forward), bias, y, write);
    }

    /** See {@link Kernels#headProducts}; without the bias. */
    public boolean headProducts(Kernels kernels, Tensor x, Tensor y) {
        return layout == Layout.OUT_IN && kernels.headProducts(x, weight, y);
    }

    /** {@code pre = x W^T + b} and {@code y = f(pre)}, x [N,in], pre and y [N,out]. */
    public void forward(Kernels kernels, Tensor x, Activation f, Tensor pre, Tensor y) {
        forward(kernels, x, pre, Write.OVERWRITE);
        kernels.activation(f, pre, y);
    }

    /** Transposes {@code y = x W^T + b}: {@code dx (+)= dy W}, dy [R,out], dx [R,in]. */
    public void vjp(Kernels kernels, Tensor dy, Tensor dx, Write write) {
        kernels.gemm(dy, Transpose.NO, operand(layout.backward), sense(layout.backward), dx, write);
    }

    /** Transposes {@code y = f(x) W^T + b}: {@code dx = f'(x) * (dy W)}, dy [R,out], x [N,in], dx [R,in]. */
    public void vjp(Kernels kernels, Tensor dy, Activation f, Tensor x, Tensor dx) {
        vjp(kernels, dy, dx, Write.OVERWRITE);
        kernels.activationVjp(f, dx, x, dx);
    }

    /** What is multiplied by where {@code op(weight)} is meant, in {@link #sense}: the transposed copy spares a transpose. */
    private Tensor operand(Transpose transpose) {
        return transpose == Transpose.YES ? transposed.copy().orElse(weight) : weight;
    }

    private Transpose sense(Transpose transpose) {
        return transpose == Transpose.YES && transposed.copy().isPresent() ? Transpose.NO : transpose;
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
                weight.slice(axis, from, to), layout, itsBias,
                new Turned(() -> transposed.copy().map(t -> t.slice(1 - axis, from, to))));
    }
}

package obsprop.model.layer;

import java.lang.foreign.Arena;
import obsprop.kernel.Activation;
import obsprop.kernel.Kernels;
import obsprop.kernel.Write;
import obsprop.tensor.Tensor;

/** The position-wise part of a block. */
public sealed interface Mlp {
    /**
     * The pre-activations that the VJP needs, and scratch.
     *
     * @param gate [N,m], the argument of the non-linearity
     * @param up [N,m], what the gate multiplies; the same tensor as gate in a plain MLP
     * @param hidden [N,m], input of the down projection; scratch
     */
    record State(Tensor gate, Tensor up, Tensor hidden) {
        /** Of these rows alone. */
        State at(PositionRows rows) {
            return new State(rows.in(gate), rows.in(up), rows.in(hidden));
        }
    }

    /**
     * Scratch of the VJP.
     *
     * @param dGate [K*N,m]
     * @param dUp [K*N,m]; the same tensor as dGate in a plain MLP
     */
    record Cotangents(Tensor dGate, Tensor dUp) {
        /** The same scratch for fewer rows. */
        Cotangents firstRows(int rows) {
            return new Cotangents(dGate.slice(0, 0, rows), dUp.slice(0, 0, rows));
        }
    }

    /** m. */
    int width();

    /** The map back to the residual stream, [m] to [d]. */
    Linear down();

    State allocate(Kernels kernels, Arena arena, int rows, Tensor hidden);

    Cotangents allocateCotangents(Kernels kernels, Arena arena, int rows);

    /** {@code y (+)= mlp(x)}: x the normed input [N,d], y [N,d]; fills {@code state}. */
    void forward(Kernels kernels, Tensor x, State state, Tensor y, Write write);

    /** Transposes {@code y = mlp(x)}: {@code dx (+)= J^T dy}, dy and dx [K*N,d]. */
    void vjp(Kernels kernels, Tensor dy, State state, Cotangents scratch, Tensor dx, Write write);

    /** {@code y = down(f(up(x)))}. */
    record Plain(Linear up, Activation f, Linear down) implements Mlp {
        @Override
        public int width() {
            return up.outputs();
        }

        @Override
        public State allocate(Kernels kernels, Arena arena, int rows, Tensor hidden) {
            Tensor pre = kernels.allocate(arena, rows, width());
            return new State(pre, pre, hidden);
        }

        @Override
        public Cotangents allocateCotangents(Kernels kernels, Arena arena, int rows) {
            Tensor dPre = kernels.allocate(arena, rows, width());
            return new Cotangents(dPre, dPre);
        }

        @Override
        public void forward(Kernels kernels, Tensor x, State state, Tensor y, Write write) {
            up.forward(kernels, x, f, state.gate, state.hidden);
            down.forward(kernels, state.hidden, y, write);
        }

        @Override
        public void vjp(Kernels kernels, Tensor dy, State state, Cotangents scratch, Tensor dx, Write write) {
            down.vjp(kernels, dy, f, state.gate, scratch.dGate);
            up.vjp(kernels, scratch.dGate, dx, write);
        }
    }

    /** {@code y = down(f(gate(x)) * up(x))}. */
    record Gated(Linear gate, Linear up, Activation f, Linear down) implements Mlp {
        @Override
        public int width() {
            return up.outputs();
        }

        @Override
        public State allocate(Kernels kernels, Arena arena, int rows, Tensor hidden) {
            return new State(kernels.allocate(arena, rows, width()), kernels.allocate(arena, rows, width()), hidden);
        }

        @Override
        public Cotangents allocateCotangents(Kernels kernels, Arena arena, int rows) {
            return new Cotangents(kernels.allocate(arena, rows, width()), kernels.allocate(arena, rows, width()));
        }

        @Override
        public void forward(Kernels kernels, Tensor x, State state, Tensor y, Write write) {
            gate.forward(kernels, x, state.gate, Write.OVERWRITE);
            up.forward(kernels, x, state.up, Write.OVERWRITE);
            kernels.gated(f, state.gate, state.up, state.hidden);
            down.forward(kernels, state.hidden, y, write);
        }

        @Override
        public void vjp(Kernels kernels, Tensor dy, State state, Cotangents scratch, Tensor dx, Write write) {
            down.vjp(kernels, dy, scratch.dUp, Write.OVERWRITE);
            kernels.gatedVjp(f, scratch.dUp, state.gate, state.up, scratch.dGate, scratch.dUp);
            gate.vjp(kernels, scratch.dGate, dx, write);
            up.vjp(kernels, scratch.dUp, dx, Write.ACCUMULATE);
        }
    }
}

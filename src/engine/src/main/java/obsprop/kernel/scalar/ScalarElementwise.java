package obsprop.kernel.scalar;

import obsprop.kernel.Activation;
import obsprop.tensor.Tensor;

/** Activations, gates and the soft cap. */
final class ScalarElementwise {
    private ScalarElementwise() {}

    static void activation(Activation f, Tensor x, Tensor y) {
        for (int r = 0; r < x.size(0); r++) {
            for (int i = 0; i < x.size(1); i++) {
                y.set(Activations.value(f, x.get(r, i)), r, i);
            }
        }
    }

    static void activationVjp(Activation f, Tensor dy, Tensor x, Tensor dx) {
        for (int r = 0; r < dy.size(0); r++) {
            for (int i = 0; i < dy.size(1); i++) {
                dx.set(Activations.derivative(f, x.get(r % x.size(0), i)) * dy.get(r, i), r, i);
            }
        }
    }

    static void gated(Activation f, Tensor gate, Tensor up, Tensor y) {
        for (int r = 0; r < gate.size(0); r++) {
            for (int i = 0; i < gate.size(1); i++) {
                y.set(Activations.value(f, gate.get(r, i)) * up.get(r, i), r, i);
            }
        }
    }

    static void gatedVjp(Activation f, Tensor dy, Tensor gate, Tensor up, Tensor dGate, Tensor dUp) {
        for (int r = 0; r < dy.size(0); r++) {
            int saved = r % gate.size(0);
            for (int i = 0; i < dy.size(1); i++) {
                double cotangent = dy.get(r, i);
                double g = gate.get(saved, i);
                // y = f(gate) * up
                dGate.set(cotangent * up.get(saved, i) * Activations.derivative(f, g), r, i);
                dUp.set(cotangent * Activations.value(f, g), r, i);
            }
        }
    }

    static void softCap(double cap, Tensor x) {
        for (int r = 0; r < x.size(0); r++) {
            for (int i = 0; i < x.size(1); i++) {
                x.set(cap * Math.tanh(x.get(r, i) / cap), r, i);
            }
        }
    }
}

package obsprop.model.layer;

import obsprop.kernel.Kernels;
import obsprop.kernel.NormParameters;
import obsprop.kernel.NormRule;
import obsprop.kernel.Write;
import obsprop.tensor.Tensor;

/** A LayerNorm or RMSNorm, or the identity where a family has no norm at that place. */
public sealed interface Norm {
    /** No normalisation. */
    Norm IDENTITY = new Identity();

    static Norm of(NormParameters parameters) {
        return new Normalise(parameters);
    }

    default boolean isIdentity() {
        return this == IDENTITY;
    }

    /** {@code y = norm(x)}; x, y [N,n], stats [N,2] (mean, rstd) written for the VJP. */
    void forward(Kernels kernels, Tensor x, Tensor y, Tensor stats);

    /** Transposes {@code y = norm(x)} at x: {@code dx (+)= J^T dy} under {@code rule}; dy, dx [K*N,n]. */
    void vjp(Kernels kernels, Tensor dy, Tensor x, Tensor stats, NormRule rule, Tensor dx, Write write);

    /** See {@link NormParameters}. */
    record Normalise(NormParameters parameters) implements Norm {
        @Override
        public void forward(Kernels kernels, Tensor x, Tensor y, Tensor stats) {
            kernels.norm(x, parameters, y, stats);
        }

        @Override
        public void vjp(Kernels kernels, Tensor dy, Tensor x, Tensor stats, NormRule rule, Tensor dx, Write write) {
            if (rule == NormRule.NONE) {
                IDENTITY.vjp(kernels, dy, x, stats, rule, dx, write);
            } else {
                kernels.normVjp(dy, x, stats, parameters, rule, dx, write);
            }
        }
    }

    /** {@code y = x}. */
    final class Identity implements Norm {
        private Identity() {}

        @Override
        public void forward(Kernels kernels, Tensor x, Tensor y, Tensor stats) {
            if (x != y) {
                kernels.copy(x, y);
            }
        }

        @Override
        public void vjp(Kernels kernels, Tensor dy, Tensor x, Tensor stats, NormRule rule, Tensor dx, Write write) {
            if (write == Write.ACCUMULATE) {
                kernels.addScaled(1, dy, dx);
            } else if (dx != dy) {
                kernels.copy(dy, dx);
            }
        }
    }
}

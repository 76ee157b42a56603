package obsprop.analysis.attribution;

import java.lang.foreign.Arena;
import obsprop.analysis.runs.Rows;
import obsprop.kernel.Kernels;
import obsprop.kernel.NormRule;
import obsprop.kernel.Write;
import obsprop.model.layer.Norm;
import obsprop.tensor.Tensor;

/** A norm at one row x [1,d], affine once its mean and 1/std are held: {@code y . norm(x) = back(y) . x + bias(y)}. */
final class FrozenNorm {
    private final Kernels kernels;
    private final Norm norm;
    private final Tensor x;
    private final Arena arena;
    private final Tensor normed;
    private final Tensor stats;

    FrozenNorm(Kernels kernels, Norm norm, Tensor x, Arena arena) {
        this.kernels = kernels;
        this.norm = norm;
        this.x = x;
        this.arena = arena;
        normed = kernels.allocate(arena, 1, x.size(1));
        stats = kernels.allocate(arena, 1, 2);
        norm.forward(kernels, x, normed, stats);
    }

    /** {@code norm(x)}, [1,d]. */
    Tensor normed() {
        return normed;
    }

    /** The direction on x [1,d] for a direction y [1,d] on the normed row. */
    Tensor back(Tensor y) {
        Tensor dx = kernels.allocate(arena, 1, x.size(1));
        norm.vjp(kernels, y, x, stats, NormRule.FROZEN, dx, Write.OVERWRITE);
        return dx;
    }

    /** What the norm's bias adds. */
    double bias(Tensor y) {
        return norm instanceof Norm.Normalise n && n.parameters().bias().isPresent()
                ? Rows.dot(kernels, y, n.parameters().bias().get())
                : 0;
    }
}

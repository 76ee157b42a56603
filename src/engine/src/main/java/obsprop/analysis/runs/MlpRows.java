package obsprop.analysis.runs;

import java.lang.foreign.Arena;
import obsprop.kernel.Kernels;
import obsprop.kernel.Write;
import obsprop.model.layer.Block;
import obsprop.model.layer.Mlp;
import obsprop.tensor.Tensor;

/** A block's MLP between its norms, on any rows of the residual stream. */
public final class MlpRows {
    private MlpRows() {}

    /** {@code mlpOutput(mlp(mlpInput(x)))}: x [R,d], overwritten by its norm; [R,d]. */
    public static Tensor forward(Kernels kernels, Block block, Tensor x, Arena arena) {
        int rows = x.size(0);
        Tensor stats = kernels.allocate(arena, rows, 2);
        Tensor written = kernels.allocate(arena, rows, x.size(1));
        Mlp mlp = block.mlp();
        block.mlpInput().forward(kernels, x, x, stats);
        Mlp.State state = mlp.allocate(kernels, arena, rows, kernels.allocate(arena, rows, mlp.width()));
        mlp.forward(kernels, x, state, written, Write.OVERWRITE);
        block.mlpOutput().forward(kernels, written, written, stats);
        return written;
    }
}

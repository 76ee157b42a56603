package obsprop.propagation.path;

import java.lang.foreign.Arena;
import obsprop.kernel.Kernels;
import obsprop.kernel.NormRule;
import obsprop.kernel.Write;
import obsprop.model.Transformer;
import obsprop.model.layer.Block;
import obsprop.model.layer.Mlp;
import obsprop.tensor.Tensor;

/**
 * A layer's MLP with its norms, {@code mlpOutput(mlp(mlpInput(x)))}, at any residual stream rows: what the MLP would
 * add to the stream there. For R rows; not safe for concurrent use.
 */
final class MlpRows implements AutoCloseable {
    private final Transformer model;
    private final Kernels kernels;
    private final Arena arena = Arena.ofShared();
    private final Tensor input;
    private final Tensor normed;
    private final Tensor sum;
    private final Tensor output;
    private final Tensor inputStats;
    private final Tensor outputStats;
    private final Mlp.State state;
    private final Mlp.Cotangents cotangents;
    private final Tensor dSum;
    private final Tensor dNormed;

    MlpRows(Transformer model, int rows) {
        this.model = model;
        this.kernels = model.kernels();
        int d = model.config().dModel();
        Mlp mlp = model.block(0).mlp();
        input = kernels.allocate(arena, rows, d);
        normed = kernels.allocate(arena, rows, d);
        sum = kernels.allocate(arena, rows, d);
        output = kernels.allocate(arena, rows, d);
        inputStats = kernels.allocate(arena, rows, 2);
        outputStats = kernels.allocate(arena, rows, 2);
        state = mlp.allocate(kernels, arena, rows, kernels.allocate(arena, rows, mlp.width()));
        cotangents = mlp.allocateCotangents(kernels, arena, rows);
        dSum = kernels.allocate(arena, rows, d);
        dNormed = kernels.allocate(arena, rows, d);
    }

    /** What the MLP of {@code layer} adds at x [R,d]: [R,d], valid until the next call. */
    Tensor forward(int layer, Tensor x) {
        Block block = model.block(layer);
        kernels.copy(x, input);
        block.mlpInput().forward(kernels, input, normed, inputStats);
        block.mlp().forward(kernels, normed, state, sum, Write.OVERWRITE);
        block.mlpOutput().forward(kernels, sum, output, outputStats);
        return output;
    }

    /** Transposes {@code mlpOutput(mlp(mlpInput(x)))} at the last {@link #forward}'s x: dx [R,d] from dy [R,d]. */
    void vjp(int layer, Tensor dy, NormRule rule, Tensor dx) {
        Block block = model.block(layer);
        block.mlpOutput().vjp(kernels, dy, sum, outputStats, rule, dSum, Write.OVERWRITE);
        block.mlp().vjp(kernels, dSum, state, cotangents, dNormed, Write.OVERWRITE);
        block.mlpInput().vjp(kernels, dNormed, input, inputStats, rule, dx, Write.OVERWRITE);
    }

    @Override
    public void close() {
        arena.close();
    }
}

package obsprop.cli.session;

import java.lang.foreign.Arena;
import java.util.List;
import java.util.stream.Stream;
import obsprop.kernel.Kernels;
import obsprop.model.Keep;
import obsprop.model.Transformer;
import obsprop.model.layer.Block;
import obsprop.tensor.Tensor;

/**
 * What a pass over a prompt takes, in bytes for each token.
 *
 * @param everything with all that the VJPs need kept for every layer
 * @param residuals with the residual stream kept, and one layer's inside, which a VJP computes again
 * @param cotangents for each observable on its way back
 */
public record MemoryPlan(long everything, long residuals, long cotangents) {
    /** A pass that takes no more than this keeps everything. */
    private static final long BUDGET = 1L << 30;

    /** The plan for {@code model}. */
    public static MemoryPlan of(Transformer model) {
        long stream = (long) model.config().dModel() * model.kernels().activationType().bytes();
        List<Long> insides = model.blocks().stream().map(block -> inside(model.kernels(), block)).toList();
        long sites = model.config().nLayers() + 1;
        return new MemoryPlan(sites * stream + insides.stream().mapToLong(Long::longValue).sum(),
                (sites + 1) * stream + insides.stream().mapToLong(Long::longValue).max().orElse(0),
                stream + cotangents(model.kernels(), model.block(0)));
    }

    private static long cotangents(Kernels kernels, Block block) {
        try (Arena arena = Arena.ofConfined()) {
            Block.Cotangents scratch = Block.Cotangents.allocate(kernels, arena, 1, block);
            return Stream.of(scratch.attention().dProjected(), scratch.attention().dMixed(), scratch.mlp().dGate(),
                            scratch.mlp().dUp(), scratch.dOutput(), scratch.dNormed())
                    .distinct().mapToLong(tensor -> tensor.elements() * tensor.dtype().bytes()).sum();
        }
    }

    /**
     * What a run takes beside the weights: the pass over all prompts, and the observables that go back at once.
     *
     * @throws ArithmeticException if that is more than a long holds
     */
    public long run(int prompts, int tokens, int observablesAtOnce) {
        long rows = (long) prompts * tokens;
        long each = keep(rows) == Keep.EVERYTHING ? everything : residuals;
        return Math.multiplyExact(rows, Math.addExact(each, Math.multiplyExact(observablesAtOnce, cotangents)));
    }

    /** What one block's state takes for one token; parts that are views of others count once. */
    private static long inside(Kernels kernels, Block block) {
        try (Arena arena = Arena.ofConfined()) {
            Block.State state = block.allocate(kernels, arena, 1, Block.Scratch.allocate(kernels, arena, 1, block));
            var attention = state.attention();
            var stats = state.stats();
            return Stream.of(attention.projected(), attention.inputs().q(), attention.inputs().k(), attention.inputs().v(),
                            attention.inputs().lse(), attention.mixed(), attention.queryStats(), attention.keyStats(),
                            state.mlp().gate(), state.mlp().up(), state.middle(), state.attentionSum(), state.mlpSum(),
                            stats.attentionInput(), stats.attentionOutput(), stats.mlpInput(), stats.mlpOutput())
                    .filter(tensor -> !liesWithin(tensor, attention.projected()) || tensor == attention.projected())
                    .distinct().mapToLong(tensor -> tensor.elements() * tensor.dtype().bytes()).sum();
        }
    }

    private static boolean liesWithin(Tensor part, Tensor whole) {
        long start = part.segment().address() - whole.segment().address();
        return start >= 0 && start < whole.elements() * whole.dtype().bytes();
    }

    /** What a pass over {@code tokens} tokens keeps. */
    public Keep keep(long tokens) {
        return tokens <= BUDGET / everything ? Keep.EVERYTHING : Keep.RESIDUALS;
    }
}

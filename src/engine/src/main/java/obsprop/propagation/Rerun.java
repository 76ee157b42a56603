package obsprop.propagation;

import java.lang.foreign.Arena;
import java.util.function.Consumer;
import obsprop.kernel.Kernels;
import obsprop.kernel.Segments;
import obsprop.model.ActivationCache;
import obsprop.model.Point;
import obsprop.model.Transformer;
import obsprop.model.layer.Block;
import obsprop.tensor.Tensor;

/**
 * The rest of a forward pass from a changed residual stream: only the layers from the change on are run. Works on every
 * family, the post-norm OPT form included. Reusable for prompts of the same lengths, without allocating; not safe for
 * concurrent use.
 */
public final class Rerun implements AutoCloseable {
    private final Transformer model;
    private final Kernels kernels;
    private final Segments segments;
    private final Arena arena = Arena.ofShared();
    private final Tensor[] streams;
    private final Block.Scratch scratch;
    private final Block.State state;

    /** Room for reruns over prompts of these lengths. */
    public Rerun(Transformer model, Segments segments) {
        this.model = model;
        this.kernels = model.kernels();
        this.segments = segments;
        int d = model.config().dModel();
        try {
            streams = new Tensor[] {
                kernels.allocate(arena, segments.rows(), d), kernels.allocate(arena, segments.rows(), d)
            };
            scratch = Block.Scratch.allocate(kernels, arena, segments.rows(), model.block(0));
            state = model.block(0).allocate(kernels, arena, segments.rows(), scratch);
        } catch (RuntimeException | Error e) {
            arena.close();
            throw e;
        }
    }

    /**
     * Runs on from one point of a finished pass, with the residual stream there changed.
     *
     * @param clean a pass over prompts of the lengths this was made for; left as it is
     * @param layer the block whose input or middle is changed, or nLayers for the final residual stream
     * @param change gets a copy of the residual stream there, [N,d], and writes to it where the kernels compute
     * @return the final residual stream [N,d], valid until the next call
     * @throws IllegalArgumentException if the pass kept no such residual stream
     */
    public Tensor run(ActivationCache clean, int layer, Point point, Consumer<Tensor> change) {
        if (!clean.segments().equals(segments)) {
            throw new IllegalArgumentException("the pass is over prompts of other lengths than this rerun");
        }
        Tensor start = point == Point.INPUT ? streams[0] : state.middle();
        kernels.copy(clean.residual(layer, point), start);
        change.accept(start);
        if (point == Point.INPUT) {
            return from(layer);
        }
        model.block(layer).forwardFromMiddle(kernels, state, scratch, streams[0]);
        return from(layer + 1);
    }

    /** Runs the blocks from {@code layer} on, on what the first stream holds. */
    private Tensor from(int layer) {
        int current = 0;
        for (int l = layer; l < model.config().nLayers(); l++) {
            model.block(l).forward(kernels, streams[current], segments, state, scratch, streams[1 - current]);
            current = 1 - current;
        }
        return streams[current];
    }

    @Override
    public void close() {
        arena.close();
    }
}

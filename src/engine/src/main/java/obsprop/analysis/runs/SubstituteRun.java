package obsprop.analysis.runs;

import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.List;
import obsprop.kernel.Kernels;
import obsprop.kernel.Segments;
import obsprop.kernel.Write;
import obsprop.model.Point;
import obsprop.model.Transformer;
import obsprop.model.layer.Attention;
import obsprop.model.layer.Block;
import obsprop.tensor.Tensor;

/**
 * A run that no prompt produced: every component reads a residual stream put there instead. Zero ablation and mean
 * ablation are patching with such a run as the corrupted one. Not safe for concurrent use.
 */
public final class SubstituteRun implements Run, AutoCloseable {
    private final Transformer model;
    private final Arena arena = Arena.ofShared();
    private final Segments segments;
    private final Tensor[][] residuals;
    private final Tensor normed;
    private final Tensor stats;
    private final Tensor written;
    private final Attention.State state;
    private int current = -1;

    private SubstituteRun(Transformer model, int length) {
        this.model = model;
        Kernels kernels = model.kernels();
        int d = model.config().dModel();
        segments = new Segments(length);
        residuals = new Tensor[Point.values().length][model.config().nLayers() + 1];
        normed = kernels.allocate(arena, length, d);
        stats = kernels.allocate(arena, length, 2);
        written = kernels.allocate(arena, length, d);
        state = model.block(0).attention().allocate(kernels, arena, length);
    }

    /** Every component reads a residual stream of zeros. */
    public static SubstituteRun zero(Transformer model, int length) {
        SubstituteRun run = new SubstituteRun(model, length);
        Tensor zeros = model.kernels().allocate(run.arena, length, model.config().dModel());
        for (Tensor[] layers : run.residuals) {
            Arrays.fill(layers, zeros);
        }
        return run;
    }

    /**
     * Every component reads the mean over some runs of what it reads there, position by position.
     *
     * @param runs at least one, of equal length
     */
    public static SubstituteRun mean(List<? extends Run> runs) {
        Run first = runs.getFirst();
        for (Run run : runs) {
            if (run.length() != first.length() || run.model() != first.model()) {
                throw new IllegalArgumentException("a mean over prompts needs one model and one length, but there are "
                        + first.length() + " and " + run.length() + " tokens");
            }
        }
        SubstituteRun mean = new SubstituteRun(first.model(), first.length());
        try {
            mean.fill(runs);
            return mean;
        } catch (RuntimeException | Error e) {
            mean.close();
            throw e;
        }
    }

    private void fill(List<? extends Run> runs) {
        int layers = model.config().nLayers();
        for (int l = 0; l <= layers; l++) {
            for (Point point : Point.values()) {
                if (point == Point.INPUT || l < layers && model.block(l).hasMiddle()) {
                    residuals[point.ordinal()][l] = average(runs, l, point);
                }
            }
        }
    }

    private Tensor average(List<? extends Run> runs, int layer, Point point) {
        Kernels kernels = model.kernels();
        Tensor sum = kernels.allocate(arena, length(), model.config().dModel());
        for (Run run : runs) {
            kernels.addScaled(1.0 / runs.size(), run.residual(layer, point), sum);
        }
        return sum;
    }

    @Override
    public Transformer model() {
        return model;
    }

    @Override
    public int length() {
        return segments.rows();
    }

    @Override
    public Tensor residual(int layer, Point point) {
        return residuals[point.ordinal()][layer];
    }

    @Override
    public Heads heads(int layer) {
        if (current != layer) {
            Block block = model.block(layer);
            block.attentionInput().forward(model.kernels(), residual(layer, Point.INPUT), normed, stats);
            block.attention().forward(model.kernels(), normed, segments, state, written, Write.OVERWRITE);
            current = layer;
        }
        return new Heads(state.inputs());
    }

    @Override
    public void close() {
        arena.close();
    }
}

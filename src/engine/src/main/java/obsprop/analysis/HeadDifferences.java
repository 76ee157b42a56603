package obsprop.analysis;

import java.lang.foreign.Arena;
import obsprop.kernel.Kernels;
import obsprop.kernel.Segments;
import obsprop.kernel.Write;
import obsprop.model.layer.Attention;
import obsprop.model.layer.Norm;
import obsprop.tensor.Tensor;

/** What each attention head adds to the clean residual stream when it reads the corrupted run instead. */
final class HeadDifferences implements AutoCloseable {
    private final PromptPair pair;
    private final PatchMode mode;
    private final Kernels kernels;
    private final Segments segments;
    private final Arena arena = Arena.ofShared();
    private final Tensor mixed;
    private final Tensor lse;
    private final Tensor rows;

    HeadDifferences(PromptPair pair, PatchMode mode) {
        this.pair = pair;
        this.mode = mode;
        kernels = pair.model().kernels();
        segments = new Segments(pair.clean().length());
        Attention attention = pair.model().block(0).attention();
        int h = attention.nHeads();
        mixed = kernels.allocate(arena, segments.rows(), h * attention.dHead());
        lse = kernels.allocate(arena, segments.rows(), h);
        rows = kernels.allocate(arena, h, pair.model().config().dModel());
    }

    /** The differences [H,d] that the heads of a layer make at one position; valid until the next call. */
    Tensor layer(int layer, int position) {
        Attention attention = pair.model().block(layer).attention();
        Tensor dMixed = mixed(layer, attention, position);
        int width = attention.dHead();
        for (int h = 0; h < attention.nHeads(); h++) {
            attention.output(h).forward(
                    kernels, dMixed.slice(1, h * width, (h + 1) * width), rows.slice(0, h, h + 1), Write.OVERWRITE);
        }
        throughOutputNorm(layer, position, rows);
        return rows;
    }

    /** The difference [1, H D] of the heads' weighted values. */
    private Tensor mixed(int layer, Attention attention, int position) {
        Run.Heads clean = pair.clean().heads(layer);
        Run.Heads corrupted = pair.corrupted().heads(layer);
        Tensor out = mixed.slice(0, position, position + 1);
        if (mode == PatchMode.FULL) {
            kernels.copy(corrupted.mixed().slice(0, position, position + 1), out);
        } else {
            kernels.attention(clean.inputs().q(), clean.inputs().k(), corrupted.inputs().v(), attention.spec(), segments,
                    mixed.unflatten(1, attention.nHeads(), attention.dHead()), lse);
        }
        kernels.addScaled(-1, clean.mixed().slice(0, position, position + 1), out);
        return out;
    }

    /** Where a norm follows attention: {@code rows <- norm(sum + row) - norm(sum)}, the other heads being clean. */
    private void throughOutputNorm(int layer, int position, Tensor differences) {
        Norm norm = pair.model().block(layer).attentionOutput();
        if (norm.isIdentity()) {
            return;
        }
        try (Arena scratch = Arena.ofShared()) {
            Tensor sum = pair.clean().attentionSum(layer).slice(0, position, position + 1);
            Tensor stats = kernels.allocate(scratch, differences.size(0), 2);
            kernels.broadcast(sum.select(0, 0), differences, Write.ACCUMULATE);
            norm.forward(kernels, differences, differences, stats);
            Tensor written = kernels.allocate(scratch, 1, sum.size(1));
            norm.forward(kernels, sum, written, stats.slice(0, 0, 1));
            Tensor negative = kernels.allocate(scratch, 1, sum.size(1));
            kernels.addScaled(-1, written, negative);
            kernels.broadcast(negative.select(0, 0), differences, Write.ACCUMULATE);
        }
    }

    @Override
    public void close() {
        arena.close();
    }
}

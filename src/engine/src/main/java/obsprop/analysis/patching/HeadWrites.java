package obsprop.analysis.patching;

import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import obsprop.analysis.runs.PromptPair;
import obsprop.analysis.runs.Run;
import obsprop.kernel.Activation;
import obsprop.kernel.Kernels;
import obsprop.kernel.Segments;
import obsprop.kernel.Write;
import obsprop.model.Transformer;
import obsprop.model.layer.Attention;
import obsprop.model.layer.Block;
import obsprop.model.layer.Linear;
import obsprop.model.layer.Norm;
import obsprop.tensor.Tensor;

/**
 * What every head writes to the clean residual stream when it reads the corrupted run instead, for P prompt pairs at one
 * position each. Of a pass it keeps no more than the differences of the heads' weighted values, so that one reading of the
 * output projections, which is what takes the time, serves all pairs.
 */
final class HeadWrites {
    /** Differences at a time, where there is one pair. */
    private static final int ROWS = 96;

    private final Transformer model;
    private final Kernels kernels;
    private final PatchMode mode;
    private final int pairs;
    private final List<Tensor> mixed = new ArrayList<>();
    private final List<Tensor> sums = new ArrayList<>();
    private final Arena lifetime;
    private Tensor ownColumns; // these two made when first needed
    private Tensor masked;

    HeadWrites(Transformer model, int pairs, PatchMode mode, Arena arena) {
        this.model = model;
        this.pairs = pairs;
        this.mode = mode;
        lifetime = arena;
        kernels = model.kernels();
        for (Block block : model.blocks()) {
            mixed.add(kernels.allocate(arena, pairs, block.attention().output().inputs()));
            sums.add(kernels.allocate(arena, block.attentionOutput().isIdentity() ? 0 : pairs, model.config().dModel()));
        }
    }

    /** Takes in what one layer of a pair does at a position. */
    void take(int layer, int pair, Run.Heads clean, Run.Heads corrupted, int position) {
        Tensor out = mixed.get(layer).slice(0, pair, pair + 1);
        if (mode == PatchMode.FULL) {
            kernels.copy(corrupted.mixed().slice(0, position, position + 1), out);
        } else {
            try (Arena arena = Arena.ofShared()) {
                kernels.copy(ovOnly(layer, clean, corrupted, arena).slice(0, position, position + 1), out);
            }
        }
        kernels.addScaled(-1, clean.mixed().slice(0, position, position + 1), out);
    }

    /** Takes in all layers of the only pair at a position. */
    void take(PromptPair pair, int position) {
        for (int l = 0; l < mixed.size(); l++) {
            take(l, 0, pair.clean().heads(l), pair.corrupted().heads(l), position);
            if (needsSum(l)) {
                takeSum(l, 0, pair.clean().attentionSum(l).slice(0, position, position + 1));
            }
        }
    }

    /** Corrupted values under the clean pattern: [T, H D]. */
    private Tensor ovOnly(int layer, Run.Heads clean, Run.Heads corrupted, Arena arena) {
        Attention attention = model.block(layer).attention();
        int t = clean.mixed().size(0);
        int h = attention.nHeads();
        Tensor patched = kernels.allocate(arena, t, h * attention.dHead());
        kernels.attention(clean.inputs().q(), clean.inputs().k(), corrupted.inputs().v(), attention.spec(),
                new Segments(t), patched.unflatten(1, h, attention.dHead()), kernels.allocate(arena, t, h));
        return patched;
    }

    /** Whether a norm follows attention at a layer, so that its clean input is needed as well. */
    boolean needsSum(int layer) {
        return !model.block(layer).attentionOutput().isIdentity();
    }

    /** Takes in that input, [1,d]. */
    void takeSum(int layer, int pair, Tensor sum) {
        kernels.copy(sum, sums.get(layer).slice(0, pair, pair + 1));
    }

    /**
     * The effects of each pair's heads, some layers at a time: fresh memory is dear, and so is waking threads that had nothing to do.
     *
     * @param corrupted the observable's values on the corrupted runs, [P]
     */
    List<HeadEffects> effects(FinalEffects ofDifferences, double[] corrupted) {
        return effects(ofDifferences, corrupted, ROWS);
    }

    /** The same with about {@code rows} differences at a time. */
    List<HeadEffects> effects(FinalEffects ofDifferences, double[] corrupted, int rows) {
        int layers = mixed.size();
        int heads = model.config().nHeads();
        double[][][] effects = new double[pairs][layers][];
        // Several layers of several pairs would not lie pair by pair.
        int most = pairs == 1 ? Math.clamp(rows / heads, 1, layers) : 1;
        Tensor differences = kernels.allocate(lifetime, most * pairs * heads, model.config().dModel());
        for (int first = 0; first < layers; first += most) {
            int some = Math.min(most, layers - first);
            for (int l = 0; l < some; l++) {
                written(first + l, differences.slice(0, l * pairs * heads, (l + 1) * pairs * heads));
            }
            double[] flat = ofDifferences.of(differences.slice(0, 0, some * pairs * heads));
            for (int i = 0; i < pairs; i++) {
                for (int l = 0; l < some; l++) {
                    int from = (i * some + l) * heads;
                    effects[i][first + l] = Arrays.copyOfRange(flat, from, from + heads);
                }
            }
        }
        List<HeadEffects> tables = new ArrayList<>();
        for (int i = 0; i < pairs; i++) {
            tables.add(new HeadEffects(ofDifferences.clean()[i], corrupted[i], effects[i]));
        }
        return tables;
    }

    /**
     * The differences that the heads of a layer make, pair by pair.
     *
     * @param rows [P H, d], overwritten
     */
    void written(int layer, Tensor rows) {
        if (pairs == 1) {
            ofOnePair(layer, rows);
        } else {
            byHead(layer, rows);
        }
        if (needsSum(layer)) {
            Norm norm = model.block(layer).attentionOutput();
            try (Arena arena = Arena.ofShared()) {
                kernels.copy(PatchedAttention.throughNorm(kernels, norm, sums.get(layer), rows, arena), rows);
            }
        }
    }

    /** {@code W_O} is read once and row by row. */
    private void ofOnePair(int layer, Tensor rows) {
        Linear output = model.block(layer).attention().output();
        if (!output.headProducts(kernels, mixed.get(layer), rows)) {
            byMask(layer, output, rows);
        }
    }

    /** One product for all heads, each row holding one head's values only. */
    private void byMask(int layer, Linear output, Tensor rows) {
        if (ownColumns == null) {
            ownColumns = mask();
            masked = kernels.allocate(lifetime, ownColumns.shape());
        }
        kernels.broadcast(mixed.get(layer).select(0, 0), masked, Write.OVERWRITE);
        kernels.gated(Activation.IDENTITY, masked, ownColumns, masked);
        output.inputs(0, output.inputs()).forward(kernels, masked, rows, Write.OVERWRITE);
    }

    /** [H, H D]: 1 in the columns of each row's own head, else 0. */
    private Tensor mask() {
        Attention attention = model.block(0).attention();
        int h = attention.nHeads();
        int width = attention.dHead();
        Tensor mask = kernels.allocate(lifetime, h, h * width);
        try (Arena scratch = Arena.ofShared()) {
            Tensor host = Tensor.allocate(scratch, mask.dtype(), h, h * width);
            for (int i = 0; i < h * width; i++) {
                host.set(1, i / width, i);
            }
            kernels.copy(host, mask);
        }
        return mask;
    }

    /** A product for each head: H times less arithmetic. */
    private void byHead(int layer, Tensor rows) {
        Attention attention = model.block(layer).attention();
        int width = attention.dHead();
        Tensor ofPairs = rows.unflatten(0, pairs, attention.nHeads());
        for (int head = 0; head < attention.nHeads(); head++) {
            Tensor own = mixed.get(layer).slice(1, head * width, (head + 1) * width);
            attention.output(head).forward(kernels, own, ofPairs.select(1, head), Write.OVERWRITE);
        }
    }
}

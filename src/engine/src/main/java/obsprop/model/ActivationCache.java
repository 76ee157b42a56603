package obsprop.model;

import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import obsprop.kernel.Kernels;
import obsprop.kernel.Segments;
import obsprop.model.layer.Block;
import obsprop.model.layer.PositionRows;
import obsprop.tensor.Tensor;

/**
 * What one forward pass over a batch leaves behind, explicitly: the residual stream before each block and, as far as
 * {@link Keep} says, each block's {@link Block.State}. It can be filled again by another pass over prompts of the same
 * lengths, without allocating. Not safe for concurrent use.
 */
public final class ActivationCache implements AutoCloseable {
    static final Listener NOBODY = (layer, point, x) -> {};

    /** What a block keeps of a row, in rows of the stream: about, as most models have it. */
    private static final int STATE = 16;

    private final Transformer model;
    private final Segments segments;
    private final Keep keep;
    private final int stopLayer;
    private final Point stopPoint;
    private final Arena arena;
    private final List<Tensor> residuals = new ArrayList<>();
    private final List<Block.State> states = new ArrayList<>();
    private final Block.Scratch scratch;
    private final Tensor discarded;
    private final int[] tokenIds;
    private final Kernels.Replay pass;
    private final Optional<LastHalf> lastHalf;
    private int recomputed = -1;
    private int ran = -1;

    ActivationCache(
            Transformer model, Segments segments, Keep keep, int stopLayer, Point stopPoint, Optional<PositionRows> wanted) {
        this.model = model;
        this.segments = segments;
        this.keep = keep;
        this.stopLayer = stopLayer;
        this.stopPoint = stopPoint;
        tokenIds = new int[segments.rows()];
        Kernels kernels = model.kernels();
        pass = kernels.replay(() -> run(NOBODY));
        int n = segments.rows();
        int d = model.config().dModel();
        int distinct = keep == Keep.LAST ? Math.min(2, stopLayer + 1) : stopLayer + 1;
        int run = stopPoint == Point.MIDDLE ? stopLayer + 1 : stopLayer;
        int kept = keep == Keep.EVERYTHING ? run : Math.min(1, run);
        long row = (long) d * kernels.activationType().bytes();
        arena = kernels.newArena(n * row * (distinct + STATE * kept));
        try {
            scratch = Block.Scratch.allocate(kernels, arena, n, model.blocks().getFirst());
            for (int i = 0; i < distinct; i++) {
                residuals.add(kernels.allocate(arena, n, d));
            }
            for (int i = 0; i < kept; i++) {
                states.add(model.block(i).allocate(kernels, arena, n, scratch));
            }
            discarded = keep == Keep.RESIDUALS ? kernels.allocate(arena, n, d) : kernels.allocate(arena, 0, d);
            lastHalf = wanted.filter(rows -> stopLayer > 0 && model.block(stopLayer - 1).hasMiddle()).map(LastHalf::new);
        } catch (RuntimeException | Error e) {
            close();
            throw e;
        }
    }

    /** The last block from its middle on, for some rows alone. */
    private final class LastHalf {
        private final PositionRows rows;
        private final Block.State state;
        private final Block.Scratch itsScratch;
        private final Tensor output;

        LastHalf(PositionRows rows) {
            this.rows = rows;
            state = stateSlot(stopLayer - 1).fromMiddle(rows);
            itsScratch = scratch.firstRows(rows.count(segments.rows()));
            output = rows.in(slot(stopLayer));
        }

        void run() {
            model.block(stopLayer - 1).forwardFromMiddle(model.kernels(), state, itsScratch, output);
        }
    }

    /** Sees the residual stream on its way through a pass, whatever the cache keeps. */
    @FunctionalInterface
    public interface Listener {
        /** @param x [N,d], valid during the call */
        void at(int layer, Point point, Tensor x);
    }

    /** Embeds the tokens and runs the blocks up to where the pass stops; filled often, the cache replays what it did. */
    void fill(int[] tokens, Listener listener) {
        System.arraycopy(tokens, 0, tokenIds, 0, tokenIds.length);
        if (listener == NOBODY) {
            pass.run();
        } else {
            run(listener);
        }
    }

    private void run(Listener listener) {
        Kernels kernels = model.kernels();
        model.embedding().forward(kernels, tokenIds, segments, slot(0));
        listener.at(0, Point.INPUT, slot(0));
        for (int l = 0; l < stopLayer; l++) {
            if (l == stopLayer - 1 && lastHalf.isPresent()) {
                model.block(l).forwardToMiddle(kernels, slot(l), segments, stateSlot(l), scratch);
                lastHalf.get().run();
            } else {
                model.block(l).forward(kernels, slot(l), segments, stateSlot(l), scratch, slot(l + 1));
            }
            ran = l;
            recomputed = -1; // a listener may have looked into another block
            if (model.block(l).hasMiddle()) {
                listener.at(l, Point.MIDDLE, stateSlot(l).middle());
            }
            listener.at(l + 1, Point.INPUT, slot(l + 1));
        }
        if (stopPoint == Point.MIDDLE) {
            Block.State half = stateSlot(stopLayer);
            model.block(stopLayer).forwardToMiddle(kernels, slot(stopLayer), segments, half, scratch);
            listener.at(stopLayer, Point.MIDDLE, half.middle());
        }
    }

    private Tensor slot(int layer) {
        return residuals.get(keep == Keep.LAST ? layer % residuals.size() : layer);
    }

    private Block.State stateSlot(int layer) {
        return states.get(keep == Keep.EVERYTHING ? layer : 0);
    }

    public Transformer model() {
        return model;
    }

    public Segments segments() {
        return segments;
    }

    /** The tokens of the last pass, a copy. */
    public int[] tokenIds() {
        return tokenIds.clone();
    }

    public Keep keep() {
        return keep;
    }

    /** Number of blocks that were run to their end; {@code residual(stopLayer())} is the deepest residual stream. */
    public int stopLayer() {
        return stopLayer;
    }

    /** Whether the pass has the residual stream leaving the last block run at this row; see {@link Transformer#allocateToRead}. */
    boolean endsAt(int row) {
        return lastHalf.isEmpty() || lastHalf.get().rows.has(row);
    }

    /**
     * The residual stream [N,d] entering block {@code layer}, or leaving the last one run: of that a cache
     * {@link Transformer#allocateToRead to be read at one position} has only the rows at this position.
     */
    public Tensor residual(int layer) {
        if (layer < 0 || layer > stopLayer || keep == Keep.LAST && layer != stopLayer) {
            throw new IllegalArgumentException("the residual stream of layer " + layer + " was not kept: the pass kept "
                    + keep + " and stopped at layer " + stopLayer);
        }
        return slot(layer);
    }

    /**
     * The inside of block {@code layer}: kept, or recomputed from the residual stream that enters it. A recomputed state
     * is valid until the next call. Where only the last is kept, that is the block that ran last: a listener can look into
     * each.
     */
    public Block.State state(int layer) {
        if (layer < 0 || layer >= stopLayer || keep == Keep.LAST && layer != ran) {
            throw new IllegalArgumentException("the inside of block " + layer + " was not kept: the pass kept " + keep
                    + " and stopped at layer " + stopLayer);
        }
        if (keep == Keep.RESIDUALS && recomputed != layer) {
            model.block(layer).forward(model.kernels(), slot(layer), segments, stateSlot(layer), scratch, discarded);
            recomputed = layer;
        }
        return stateSlot(layer);
    }

    /** The residual stream [N,d] at a point of a layer. */
    public Tensor residual(int layer, Point point) {
        if (point == Point.INPUT) {
            return residual(layer);
        }
        model.requireMiddle(layer);
        return state(layer).middle();
    }

    /** The pattern [H,T,T] of one prompt at a layer, [head, destination, source], living as long as {@code to}. */
    public Tensor pattern(int layer, int prompt, Arena to) {
        int t = segments.length(prompt);
        var attention = model.block(layer).attention();
        Tensor pattern = model.kernels().allocate(to, attention.nHeads(), t, t);
        model.kernels().attentionPattern(
                state(layer).attention().inputs(), attention.spec(), segments, prompt, pattern);
        return pattern;
    }

    @Override
    public void close() {
        pass.close();
        arena.close();
    }
}

package obsprop.model;

import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;
import obsprop.kernel.Kernels;
import obsprop.model.layer.Block;
import obsprop.model.layer.PositionRows;
import obsprop.model.layer.Rules;
import obsprop.tensor.Tensor;

/**
 * Vector-Jacobian products of the whole model with respect to its residual stream, for K cotangents at once, from
 * injections at any layers, points and rows. The linearisation point is the cache; memory is that of the cache plus the
 * cotangents of one layer, for at most {@code chunk} cotangents at a time. Reusable; not safe for concurrent use.
 */
public final class Backward implements AutoCloseable {
    /** Cotangents that a row has at once, in rows of the stream: about, as most models have it. */
    private static final int AT_ONCE = 11;

    private final ActivationCache cache;
    private final Kernels kernels;
    private final int chunk;
    private final Arena arena;
    private final Tensor d;
    private final Block.Cotangents scratch;

    /** Sees the cotangents on their way back, from the deepest site to the lowest. */
    @FunctionalInterface
    public interface Listener {
        /**
         * @param first number of the first cotangent in {@code d}
         * @param d [k*N,d] with k cotangents of N rows each, valid during the call
         */
        void at(int layer, Point point, int first, Tensor d);
    }

    /** @param chunk how many cotangents go through the model at once */
    public Backward(ActivationCache cache, int chunk) {
        this.cache = cache;
        this.kernels = cache.model().kernels();
        this.chunk = chunk;
        int rows = Math.multiplyExact(chunk, cache.segments().rows());
        int width = cache.model().config().dModel();
        arena = kernels.newArena((long) rows * width * kernels.activationType().bytes() * AT_ONCE);
        try {
            d = kernels.allocate(arena, rows, width);
            scratch = Block.Cotangents.allocate(kernels, arena, rows, cache.model().block(0));
        } catch (RuntimeException | Error e) {
            arena.close();
            throw e;
        }
    }

    /**
     * Pulls {@code cotangents} cotangents back from the injections.
     *
     * @param lowest the sweep ends at the input of this block
     * @param listener called at every site from the deepest injection down to {@code lowest}
     */
    public void sweep(int cotangents, List<Injection> injections, Rules rules, int lowest, Listener listener) {
        prepare(cotangents, injections, rules, lowest).run(listener);
    }

    /**
     * The same, to be run as often as the cache is filled again or the injected vectors change: running it allocates
     * nothing where the cache keeps everything.
     *
     * @throws IllegalArgumentException if the pass has no such layers, or an injection lies outside of the sweep
     */
    public Sweep prepare(int cotangents, List<Injection> injections, Rules rules, int lowest) {
        int highest = injections.stream().mapToInt(Injection::layer).max().orElse(lowest);
        if (lowest < 0 || highest > cache.stopLayer()) {
            throw new IllegalArgumentException("sweep from layer " + highest + " to " + lowest
                    + ", but the forward pass covers 0.." + cache.stopLayer());
        }
        injections.forEach(i -> check(i, cotangents, lowest));
        List<Chunk> chunks = new ArrayList<>();
        for (int first = 0; first < cotangents; first += chunk) {
            chunks.add(new Chunk(first, Math.min(chunk, cotangents - first), injections, rules, highest, lowest));
        }
        return new Sweep(kernels, chunks);
    }

    private void check(Injection injection, int cotangents, int lowest) {
        int rows = cache.segments().rows();
        int highest = injection.point() == Point.MIDDLE ? cache.stopLayer() - 1 : cache.stopLayer();
        if (injection.cotangent() < 0 || injection.cotangent() >= cotangents
                || injection.row() < 0 || injection.row() >= rows
                || injection.layer() < lowest || injection.layer() > highest) {
            throw new IllegalArgumentException("an injection into cotangent " + injection.cotangent() + " of " + cotangents
                    + ", row " + injection.row() + " of " + rows + ", " + injection.point() + " of layer " + injection.layer()
                    + ": the sweep covers the layers " + lowest + " to " + highest);
        }
        if (injection.layer() == cache.stopLayer() && !cache.endsAt(injection.row())) {
            throw new IllegalArgumentException("an injection into row " + injection.row()
                    + " of the final residual stream, which the forward pass has at another position only");
        }
        if (injection.point() == Point.MIDDLE) {
            cache.model().requireMiddle(injection.layer());
        }
    }

    /** A prepared pass back through the model. */
    public static final class Sweep {
        private final Kernels kernels;
        private final List<Chunk> chunks;

        private Sweep(Kernels kernels, List<Chunk> chunks) {
            this.kernels = kernels;
            this.chunks = chunks;
        }

        /**
         * The sweep with one listener, to be run often, for a cache that keeps everything. The listener does what
         * {@link Kernels#replay} allows, and is not called where the device replays what it did.
         */
        public Kernels.Replay replay(Listener listener) {
            return kernels.replay(() -> run(listener));
        }

        /** Pulls the cotangents back at the present content of cache and injected vectors. */
        public void run(Listener listener) {
            for (int i = 0; i < chunks.size(); i++) {
                chunks.get(i).run(listener);
            }
        }
    }

    /** A vector and the cotangent row it is added to. */
    private record Addition(Tensor vector, Tensor row) {}

    /** Some of the cotangents, as many as go through the model at once. */
    private final class Chunk {
        private final int first;
        private final int highest;
        private final int lowest;
        private final Rules rules;
        private final Tensor rows;
        private final Block.Cotangents slice;
        private final List<List<Addition>> atInput = new ArrayList<>();
        private final List<List<Addition>> atMiddle = new ArrayList<>();
        private final List<Block.VjpPass> passes = new ArrayList<>();
        private final Optional<Entry> entry;

        Chunk(int first, int k, List<Injection> injections, Rules rules, int highest, int lowest) {
            this.first = first;
            this.highest = highest;
            this.lowest = lowest;
            this.rules = rules;
            int n = k * cache.segments().rows();
            rows = d.slice(0, 0, n);
            slice = k == chunk ? scratch : scratch.firstRows(n);
            for (int layer = 0; layer <= highest; layer++) {
                atInput.add(new ArrayList<>());
                atMiddle.add(new ArrayList<>());
            }
            injections.stream().filter(i -> i.cotangent() >= first && i.cotangent() < first + k).forEach(this::add);
            if (cache.keep() == Keep.EVERYTHING) {
                IntStream.range(0, cache.stopLayer()).forEach(layer -> passes.add(newPass(layer)));
            }
            entry = entry(injections);
        }

        private Optional<Entry> entry(List<Injection> injections) {
            List<Injection> deepest = injections.stream().filter(i -> i.layer() == highest).toList();
            boolean spread = deepest.stream().anyMatch(i -> i.point() == Point.MIDDLE);
            if (spread || highest == lowest || !cache.model().block(highest - 1).hasMiddle()) {
                return Optional.empty();
            }
            return PositionRows.of(cache.segments(), deepest.stream().mapToInt(Injection::row)).map(Entry::new);
        }

        /**
         * The deepest block from its output to its middle where cotangents were injected at one position alone: until attention
         * spreads them, all other rows are zero.
         */
        private final class Entry {
            private final PositionRows at;
            private final Tensor d;
            private final Block.Cotangents its;
            private final Optional<Block.VjpPass> kept;

            Entry(PositionRows at) {
                this.at = at;
                d = at.in(rows);
                its = slice.firstRows(d.size(0));
                kept = passes.isEmpty() ? Optional.empty() : Optional.of(pass());
            }

            private Block.VjpPass pass() {
                return new Block.VjpPass(cache.segments(), cache.state(highest - 1).fromMiddle(at), its, rules);
            }

            void vjpToMiddle(Block block) {
                block.vjpToMiddle(kernels, kept.isPresent() ? kept.get() : pass(), cache.residual(highest - 1), d);
            }
        }

        private void add(Injection injection) {
            int row = (injection.cotangent() - first) * cache.segments().rows() + injection.row();
            var addition = new Addition(injection.vector(), rows.slice(0, row, row + 1));
            (injection.point() == Point.INPUT ? atInput : atMiddle).get(injection.layer()).add(addition);
        }

        void run(Listener listener) {
            kernels.zero(rows);
            if (!atMiddle.get(highest).isEmpty()) {
                visit(highest, Point.MIDDLE, listener);
                cache.model().block(highest).vjpToInput(kernels, pass(highest), cache.residual(highest), rows);
            }
            visit(highest, Point.INPUT, listener);
            for (int layer = highest - 1; layer >= lowest; layer--) {
                throughBlock(layer, listener);
                visit(layer, Point.INPUT, listener);
            }
        }

        private void throughBlock(int layer, Listener listener) {
            Block block = cache.model().block(layer);
            Block.VjpPass pass = pass(layer);
            if (layer == highest - 1 && entry.isPresent()) {
                entry.get().vjpToMiddle(block);
            } else {
                block.vjpToMiddle(kernels, pass, cache.residual(layer), rows);
            }
            if (block.hasMiddle()) {
                visit(layer, Point.MIDDLE, listener);
            }
            block.vjpToInput(kernels, pass, cache.residual(layer), rows);
        }

        private Block.VjpPass pass(int layer) {
            return passes.isEmpty() ? newPass(layer) : passes.get(layer);
        }

        private Block.VjpPass newPass(int layer) {
            return new Block.VjpPass(cache.segments(), cache.state(layer), slice, rules);
        }

        /** Adds what is injected here, then shows the cotangents. */
        private void visit(int layer, Point point, Listener listener) {
            List<Addition> additions = (point == Point.INPUT ? atInput : atMiddle).get(layer);
            for (int i = 0; i < additions.size(); i++) {
                kernels.addScaled(1, additions.get(i).vector, additions.get(i).row);
            }
            listener.at(layer, point, first, rows);
        }
    }

    @Override
    public void close() {
        arena.close();
    }
}

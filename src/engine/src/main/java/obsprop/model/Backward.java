package obsprop.model;

import java.lang.foreign.Arena;
import java.util.List;
import obsprop.kernel.Kernels;
import obsprop.model.layer.Block;
import obsprop.model.layer.Rules;
import obsprop.tensor.Tensor;

/**
 * Vector-Jacobian products of the whole model with respect to its residual stream, for K cotangents at once, from
 * injections at any layers, points and rows. The linearisation point is the cache; memory is that of the cache plus the
 * cotangents of one layer, for at most {@code chunk} cotangents at a time. Reusable; not safe for concurrent use.
 */
public final class Backward implements AutoCloseable {
    private final ActivationCache cache;
    private final Kernels kernels;
    private final int chunk;
    private final Arena arena = Arena.ofShared();
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
        try {
            d = kernels.allocate(arena, rows, cache.model().config().dModel());
            scratch = Block.Cotangents.allocate(kernels, arena, rows, cache.model().block(0));
        } catch (RuntimeException e) {
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
        int highest = injections.stream().mapToInt(Injection::layer).max().orElse(lowest);
        if (lowest < 0 || highest > cache.stopLayer()) {
            throw new IllegalArgumentException("sweep from layer " + highest + " to " + lowest
                    + ", but the forward pass covers 0.." + cache.stopLayer());
        }
        for (int first = 0; first < cotangents; first += chunk) {
            int k = Math.min(chunk, cotangents - first);
            new Sweep(first, k, injections, rules, listener).run(highest, lowest);
        }
    }

    /** One chunk of cotangents. */
    private final class Sweep {
        private final int first;
        private final int k;
        private final List<Injection> injections;
        private final Rules rules;
        private final Listener listener;
        private final Tensor rows;
        private final Block.Cotangents slice;

        Sweep(int first, int k, List<Injection> injections, Rules rules, Listener listener) {
            this.first = first;
            this.k = k;
            this.injections = injections;
            this.rules = rules;
            this.listener = listener;
            int n = k * cache.segments().rows();
            rows = d.slice(0, 0, n);
            slice = k == chunk ? scratch : scratch.firstRows(n);
        }

        void run(int highest, int lowest) {
            kernels.zero(rows);
            for (int layer = highest; ; layer--) {
                if (layer < highest) {
                    throughBlock(layer);
                } else if (hasMiddleInjection(layer)) {
                    enterAtMiddle(layer);
                }
                visit(layer, Point.INPUT);
                if (layer == lowest) {
                    return;
                }
            }
        }

        private boolean hasMiddleInjection(int layer) {
            return injections.stream().anyMatch(i -> i.layer() == layer && i.point() == Point.MIDDLE);
        }

        private void throughBlock(int layer) {
            Block block = cache.model().block(layer);
            Block.VjpPass pass = pass(layer);
            block.vjpToMiddle(kernels, pass, cache.residual(layer), rows);
            if (block.hasMiddle()) {
                visit(layer, Point.MIDDLE);
            }
            block.vjpToInput(kernels, pass, cache.residual(layer), rows);
        }

        private void enterAtMiddle(int layer) {
            cache.model().requireMiddle(layer);
            visit(layer, Point.MIDDLE);
            cache.model().block(layer).vjpToInput(kernels, pass(layer), cache.residual(layer), rows);
        }

        private Block.VjpPass pass(int layer) {
            return new Block.VjpPass(cache.segments(), cache.state(layer), slice, rules);
        }

        /** Adds what is injected here, then shows the cotangents. */
        private void visit(int layer, Point point) {
            int n = cache.segments().rows();
            for (Injection i : injections) {
                if (i.layer() == layer && i.point() == point && i.cotangent() >= first && i.cotangent() < first + k) {
                    int row = (i.cotangent() - first) * n + i.row();
                    kernels.addScaled(1, i.vector(), rows.slice(0, row, row + 1));
                }
            }
            listener.at(layer, point, first, rows);
        }
    }

    @Override
    public void close() {
        arena.close();
    }
}

package obsprop.analysis.probes;

import java.lang.foreign.Arena;
import java.util.List;
import obsprop.kernel.Kernels;
import obsprop.kernel.Transpose;
import obsprop.kernel.Write;
import obsprop.model.ActivationCache;
import obsprop.model.Batch;
import obsprop.model.Keep;
import obsprop.model.Point;
import obsprop.model.Transformer;
import obsprop.tensor.Tensor;

/** One vector for each text: its residual stream at a point, pooled over the tokens. */
public final class PooledActivations {
    private PooledActivations() {}

    /** How a text becomes one vector. Both are linear, so that a vector's score of the pool is the pool of its scores. */
    public enum Pooling {
        MEAN,
        LAST;

        private double weight(int token, int length) {
            return this == MEAN ? 1.0 / length : token == length - 1 ? 1 : 0;
        }
    }

    /**
     * The pooled activations [n][d] of some texts, run together up to the layer.
     *
     * @throws IllegalArgumentException if the model has no such site
     */
    public static double[][] of(Transformer model, List<int[]> texts, int layer, Point point, Pooling pooling) {
        Batch batch = Batch.of(texts);
        Kernels kernels = model.kernels();
        int d = model.config().dModel();
        int depth = point == Point.INPUT ? layer : layer + 1;
        double[][] pooled = new double[texts.size()][];
        try (Arena arena = Arena.ofShared(); ActivationCache room = model.allocate(batch.segments(), Keep.LAST, depth)) {
            if (point == Point.MIDDLE) {
                model.requireMiddle(layer);
            }
            Tensor weights = weights(batch, pooling, kernels, arena);
            Tensor sums = kernels.allocate(arena, texts.size(), d);
            model.forward(batch, room, (l, p, x) -> {
                if (l == layer && p == point) {
                    kernels.gemm(weights, Transpose.NO, x, Transpose.NO, sums, Write.OVERWRITE);
                }
            });
            Tensor host = Tensor.allocate(arena, kernels.activationType(), texts.size(), d);
            kernels.copy(sums, host);
            for (int i = 0; i < pooled.length; i++) {
                pooled[i] = host.select(0, i).toDoubles();
            }
        }
        return pooled;
    }

    /** [texts, rows]: each text's weights on its own rows. */
    private static Tensor weights(Batch batch, Pooling pooling, Kernels kernels, Arena arena) {
        int texts = batch.segments().count();
        Tensor host = Tensor.allocate(arena, kernels.activationType(), texts, batch.rows());
        for (int b = 0; b < texts; b++) {
            int length = batch.segments().length(b);
            for (int t = 0; t < length; t++) {
                host.set(pooling.weight(t, length), b, batch.segments().start(b) + t);
            }
        }
        Tensor placed = kernels.allocate(arena, texts, batch.rows());
        kernels.copy(host, placed);
        return placed;
    }
}

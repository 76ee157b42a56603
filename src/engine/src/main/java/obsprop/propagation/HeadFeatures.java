package obsprop.propagation;

import java.lang.foreign.Arena;
import obsprop.kernel.Kernels;
import obsprop.kernel.Write;
import obsprop.model.Transformer;
import obsprop.model.layer.Attention;
import obsprop.tensor.Tensor;

/**
 * Data-free feature vectors of every head, for many directions in one chain of products:
 * {@code W_V[h]^T (W_O[h]^T y)}, the pattern taken as 1 and norms left out. The d x d matrix of the OV circuit is never
 * built.
 */
public final class HeadFeatures implements AutoCloseable {
    private final Transformer model;
    private final Kernels kernels;
    private final Arena arena = Arena.ofShared();
    private final Tensor mixed;

    /** Scratch for {@code directions} directions at once. */
    public HeadFeatures(Transformer model, int directions) {
        this.model = model;
        this.kernels = model.kernels();
        int width = model.config().nHeads() * model.config().dHead();
        mixed = kernels.allocate(arena, directions, width);
    }

    /**
     * Pulls directions back through every head of one layer.
     *
     * @param y [K,d]
     * @param features [K,H,d], overwritten
     */
    public void layer(int layer, Tensor y, Tensor features) {
        Attention attention = model.block(layer).attention();
        int width = attention.dHead();
        Tensor dMixed = mixed.slice(0, 0, y.size(0));
        attention.output().vjp(kernels, y, dMixed, Write.OVERWRITE);
        kernels.each(attention.nHeads(), (h, its) -> {
            Tensor dValue = dMixed.slice(1, h * width, (h + 1) * width);
            attention.value(h).vjp(its, dValue, features.select(1, h), Write.OVERWRITE);
        });
    }

    @Override
    public void close() {
        arena.close();
    }
}

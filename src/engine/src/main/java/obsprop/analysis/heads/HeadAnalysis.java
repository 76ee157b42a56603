package obsprop.analysis.heads;

import java.lang.foreign.Arena;
import java.util.List;
import obsprop.kernel.Kernels;
import obsprop.kernel.Transpose;
import obsprop.kernel.Write;
import obsprop.model.Transformer;
import obsprop.model.layer.Block;
import obsprop.model.layer.Norm;
import obsprop.propagation.HeadFeatures;
import obsprop.propagation.Observable;
import obsprop.propagation.Propagator;
import obsprop.tensor.Tensor;

/**
 * Pulls many directions back through every head in one chain of products, without any text, and compares the feature
 * vectors head by head.
 */
public final class HeadAnalysis {
    private final Transformer model;
    private final Kernels kernels;
    private final HeadNormRule rule;

    /** @throws IllegalArgumentException for gains of norms that stand on the stream itself (the post-norm OPT form) */
    public HeadAnalysis(Transformer model, HeadNormRule rule) {
        if (rule == HeadNormRule.WEIGHT_ONLY && !model.hasDirectEffects()) {
            throw new IllegalArgumentException("the residual stream of this model is itself normalised, so that a head has"
                    + " no direct path to the output through which gains could be pulled: use the norm rule none");
        }
        this.model = model;
        this.kernels = model.kernels();
        this.rule = rule;
    }

    public Transformer model() {
        return model;
    }

    /** The table of these observables. */
    public HeadTable table(List<Observable> observables) {
        try (Arena arena = Arena.ofShared()) {
            return table(new Propagator(model).unembed(observables, arena));
        }
    }

    /**
     * The table of any directions.
     *
     * @param y [K,d], at the normed final residual stream, where the kernels compute
     */
    public HeadTable table(Tensor y) {
        int count = y.size(0);
        int nLayers = model.config().nLayers();
        int nHeads = model.config().nHeads();
        int d = model.config().dModel();
        Tensor gram = Tensor.allocate(Arena.ofAuto(), kernels.activationType(), nLayers, nHeads, count, count);
        try (Arena arena = Arena.ofShared(); HeadFeatures heads = new HeadFeatures(model, count)) {
            Tensor residual = kernels.allocate(arena, count, d);
            Tensor noActivation = kernels.allocate(arena, 1, d);
            Tensor noStatistics = kernels.allocate(arena, 1, 2);
            pull(model.finalNorm(), y, residual, noActivation, noStatistics);
            Tensor written = kernels.allocate(arena, count, d);
            Tensor features = kernels.allocate(arena, count, nHeads, d);
            Tensor products = kernels.allocate(arena, nHeads, count, count);
            for (int l = 0; l < nLayers; l++) {
                Block block = model.block(l);
                pull(block.attentionOutput(), residual, written, noActivation, noStatistics);
                heads.layer(l, written, features);
                Tensor rows = features.reshape(count * nHeads, d);
                pull(block.attentionInput(), rows, rows, noActivation, noStatistics);
                for (int h = 0; h < nHeads; h++) {
                    Tensor f = features.select(1, h);
                    kernels.gemm(f, Transpose.NO, f, Transpose.YES, products.select(0, h), Write.OVERWRITE);
                }
                kernels.copy(products, gram.select(0, l));
            }
        }
        return new HeadTable(gram);
    }

    /** {@code dx = g * dy} or {@code dx = dy}: the rules of this analysis look at no activation. */
    private void pull(Norm norm, Tensor dy, Tensor dx, Tensor noActivation, Tensor noStatistics) {
        norm.vjp(kernels, dy, noActivation, noStatistics, rule.kernelRule(), dx, Write.OVERWRITE);
    }
}

package obsprop.analysis.attribution;

import java.lang.foreign.Arena;
import obsprop.analysis.runs.CachedRun;
import obsprop.analysis.runs.PromptPair;
import obsprop.analysis.runs.Rows;
import obsprop.analysis.runs.Unembedded;
import obsprop.kernel.Kernels;
import obsprop.model.Point;
import obsprop.model.Transformer;
import obsprop.model.layer.Norm;
import obsprop.model.layer.NormSite;
import obsprop.propagation.Observable;
import obsprop.propagation.Site;
import obsprop.tensor.Tensor;

/**
 * Direct attribution: how much every head reading every token, every MLP and the embedding contribute to a value.
 *
 * <p>The parts add up to the value because every norm on the way (the final or inner norm, a norm on a sublayer's
 * output) is affine in its input once its mean and 1/std are held at their actual values, and a final soft cap is a
 * factor on each token's weight once {@code capped / uncapped} is.
 */
public final class DirectAttribution {
    private DirectAttribution() {}

    /**
     * Of an observable.
     *
     * @param position where it is read, from 0 or from the end with -1
     */
    public static Attribution ofObservable(CachedRun run, Observable n, int position) {
        Transformer model = require(run);
        Kernels kernels = model.kernels();
        Site site = new Site(model.config().nLayers(), Point.INPUT, run.position(position));
        try (Arena arena = Arena.ofShared()) {
            Unembedded unembedded = new Unembedded(model, n, arena);
            FrozenNorm norm = new FrozenNorm(kernels, model.finalNorm(), row(run, site), arena);
            Tensor y = kernels.allocate(arena, 1, model.config().dModel());
            double bias = unembedded.linearise(norm.normed(), y);
            double total = unembedded.values(norm.normed())[0];
            return new AttributionSplit(run, site, norm.back(y), arena).split(norm.bias(y) + bias, total);
        }
    }

    /**
     * Of what a feature vector reads off the residual stream itself, {@code y . x}.
     *
     * @param y [1,d], where the kernels compute
     */
    public static Attribution ofFeature(CachedRun run, Tensor y, Site site) {
        Site resolved = site.resolve(require(run), run.length());
        double total = Rows.products(run.model().kernels(), row(run, resolved), y)[0][0];
        try (Arena arena = Arena.ofShared()) {
            return new AttributionSplit(run, resolved, y, arena).split(0, total);
        }
    }

    /**
     * Of what a feature vector reads through a norm, {@code y . norm(x)}, as a later component sees it.
     *
     * @param y [1,d], where the kernels compute
     * @param layer the block whose norm it is; the number of layers for the final norm
     * @param norm {@link NormSite#ATTENTION_INPUT}, {@link NormSite#MLP_INPUT} or {@link NormSite#FINAL}
     * @param position from 0 or from the end with -1
     */
    public static Attribution ofFeature(CachedRun run, Tensor y, int layer, NormSite norm, int position) {
        Transformer model = require(run);
        Norm reader = inputNorm(model, layer, norm);
        boolean middle = norm == NormSite.MLP_INPUT && model.block(layer).hasMiddle();
        Site site = new Site(layer, middle ? Point.MIDDLE : Point.INPUT, position).resolve(model, run.length());
        try (Arena arena = Arena.ofShared()) {
            FrozenNorm frozen = new FrozenNorm(model.kernels(), reader, row(run, site), arena);
            double total = Rows.products(model.kernels(), frozen.normed(), y)[0][0];
            return new AttributionSplit(run, site, frozen.back(y), arena).split(frozen.bias(y), total);
        }
    }

    private static Transformer require(CachedRun run) {
        PromptPair.requireDirectEffects(run.model(), "attribution");
        return run.model();
    }

    private static Tensor row(CachedRun run, Site site) {
        return run.residual(site.layer(), site.point()).slice(0, site.position(), site.position() + 1);
    }

    private static Norm inputNorm(Transformer model, int layer, NormSite norm) {
        int layers = model.config().nLayers();
        boolean isFinal = norm == NormSite.FINAL;
        if (layer < 0 || layer > layers || isFinal != (layer == layers)) {
            throw new IllegalArgumentException("there is no norm " + norm + " of layer " + layer + ": blocks are 0.."
                    + (layers - 1) + ", the final norm is that of layer " + layers);
        }
        return switch (norm) {
            case ATTENTION_INPUT -> model.block(layer).attentionInput();
            case MLP_INPUT -> model.block(layer).mlpInput();
            case FINAL -> model.finalNorm();
            default -> throw new IllegalArgumentException("no component reads the residual stream through " + norm);
        };
    }
}

package obsprop.analysis.norms;

import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import obsprop.analysis.statistics.Moments;
import obsprop.kernel.Kernels;
import obsprop.kernel.NormParameters;
import obsprop.model.ActivationCache;
import obsprop.model.Batch;
import obsprop.model.Keep;
import obsprop.model.Transformer;
import obsprop.model.layer.Block;
import obsprop.model.layer.Norm;
import obsprop.model.layer.NormSite;
import obsprop.model.layer.StreamNormBlock;
import obsprop.tensor.Tensor;

/** How long the residual stream is where each norm reads it; norms of queries and keys are left out. */
public final class NormStatistics {
    private final Transformer model;
    private final Kernels kernels;
    /** Of the norms, which is the next one to act. */
    private int next;
    private final List<Lengths> norms = new ArrayList<>();

    /** One norm and the lengths of what it read. */
    private record Lengths(int layer, NormSite site, NormParameters parameters, Moments moments) {}

    private NormStatistics(Transformer model) {
        this.model = model;
        this.kernels = model.kernels();
    }

    /** Over all tokens of some prompts; the norms in the order in which they act. */
    public static List<NormInput> of(Transformer model, List<int[]> prompts) {
        NormStatistics statistics = new NormStatistics(model);
        for (Batch batch : Batches.of(prompts)) {
            statistics.next = 0;
            try (ActivationCache cache = model.forward(batch, Keep.RESIDUALS, model.config().nLayers())) {
                for (int l = 0; l < model.config().nLayers(); l++) {
                    statistics.block(model.block(l), cache.state(l).stats());
                }
                statistics.finalNorm(cache.residual(model.config().nLayers()));
            }
        }
        return statistics.norms.stream().map(statistics::result).toList();
    }

    private void block(Block block, Block.Stats stats) {
        if (block instanceof StreamNormBlock stream) {
            add(block.layer(), NormSite.ATTENTION_INPUT, stream.attentionNorm(), stats.attentionInput());
            add(block.layer(), NormSite.MLP_INPUT, stream.mlpNorm(), stats.mlpInput());
            return;
        }
        add(block.layer(), NormSite.ATTENTION_INPUT, block.attentionInput(), stats.attentionInput());
        add(block.layer(), NormSite.ATTENTION_OUTPUT, block.attentionOutput(), stats.attentionOutput());
        add(block.layer(), NormSite.MLP_INPUT, block.mlpInput(), stats.mlpInput());
        add(block.layer(), NormSite.MLP_OUTPUT, block.mlpOutput(), stats.mlpOutput());
    }

    private void finalNorm(Tensor x) {
        try (Arena arena = Arena.ofShared()) {
            Tensor stats = kernels.allocate(arena, x.size(0), 2);
            model.finalNorm().forward(kernels, x, kernels.allocate(arena, x.size(0), x.size(1)), stats);
            add(model.config().nLayers(), NormSite.FINAL, model.finalNorm(), stats);
        }
    }

    private void add(int layer, NormSite site, Norm norm, Tensor stats) {
        if (norm instanceof Norm.Normalise(NormParameters parameters)) {
            if (next == norms.size()) {
                norms.add(new Lengths(layer, site, parameters, new Moments()));
            }
            Moments moments = norms.get(next++).moments;
            try (Arena arena = Arena.ofShared()) {
                Tensor host = Tensor.allocate(arena, stats.dtype(), stats.shape());
                kernels.copy(stats, host);
                for (int row = 0; row < host.size(0); row++) {
                    moments.add(length(host.get(row, 0), host.get(row, 1), parameters), 0);
                }
            }
        }
    }

    private NormInput result(Lengths lengths) {
        return new NormInput(lengths.layer, lengths.site, lengths.moments.meanX(), lengths.moments.deviationX(),
                gain(lengths.parameters));
    }

    /** ||x|| from what the norm saved: {@code ||x||^2 = n (1/rstd^2 - epsilon + mean^2)}. */
    private static double length(double mean, double rstd, NormParameters parameters) {
        double meanSquare = 1 / (rstd * rstd) - parameters.epsilon() + mean * mean;
        return Math.sqrt(parameters.width() * Math.max(0, meanSquare));
    }

    private NormInput.Spread gain(NormParameters parameters) {
        double[] gain = host(parameters.gain());
        Moments moments = new Moments();
        for (int i = 0; i < gain.length; i++) {
            gain[i] += parameters.gainOffset();
            moments.add(gain[i], 0);
        }
        return new NormInput.Spread(moments.meanX(), moments.deviationX(),
                Arrays.stream(gain).min().orElseThrow(), Arrays.stream(gain).max().orElseThrow());
    }

    private double[] host(Tensor weight) {
        try (Arena arena = Arena.ofShared()) {
            Tensor host = Tensor.allocate(arena, kernels.activationType(), weight.shape());
            kernels.copy(weight, host);
            return host.toDoubles();
        }
    }
}

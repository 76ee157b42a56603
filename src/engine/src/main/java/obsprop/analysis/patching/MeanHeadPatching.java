package obsprop.analysis.patching;

import java.util.ArrayList;
import java.util.List;
import obsprop.analysis.runs.CachedRun;
import obsprop.analysis.runs.PromptPair;
import obsprop.analysis.runs.TokenPair;
import obsprop.model.ActivationCache;
import obsprop.model.Batch;
import obsprop.model.ModelConfig;
import obsprop.model.Transformer;

/** Head patching over many prompt pairs: several pairs a forward pass, running means, bounded memory. */
public final class MeanHeadPatching {
    /** Elements of activations that a forward pass may keep. */
    private static final long ELEMENTS = 1L << 26;

    private final Transformer model;
    private final Readout readout;
    private final PatchMode mode;
    private final double[][] mean;
    private final double[][] squares;
    private double clean;
    private double corrupted;
    private int pairs;

    private MeanHeadPatching(Transformer model, Readout readout, PatchMode mode) {
        this.model = model;
        this.readout = readout;
        this.mode = mode;
        mean = new double[model.config().nLayers()][model.config().nHeads()];
        squares = new double[model.config().nLayers()][model.config().nHeads()];
    }

    /**
     * The mean effect of every head over the pairs, and its standard error.
     *
     * @param pairs at least one; each pair of one length, the pairs of any
     */
    public static MeanHeadEffects over(Transformer model, List<TokenPair> pairs, Readout readout, PatchMode mode) {
        if (pairs.isEmpty()) {
            throw new IllegalArgumentException("a mean over prompt pairs needs at least one");
        }
        MeanHeadPatching sums = new MeanHeadPatching(model, readout, mode);
        long rows = Math.max(1, ELEMENTS / elementsPerRow(model.config()));
        for (int from = 0; from < pairs.size(); ) {
            int to = from + 1;
            long filled = 2L * pairs.get(from).clean().length;
            while (to < pairs.size() && filled + 2L * pairs.get(to).clean().length <= rows) {
                filled += 2L * pairs.get(to++).clean().length;
            }
            sums.add(pairs.subList(from, to));
            from = to;
        }
        return sums.result();
    }

    private static long elementsPerRow(ModelConfig c) {
        long attention = (2L * c.nHeads() + 2L * c.nKvHeads()) * c.dHead();
        return c.nLayers() * (attention + 2L * c.dMlp() + 4L * c.dModel());
    }

    private void add(List<TokenPair> some) {
        List<int[]> prompts = new ArrayList<>();
        some.forEach(p -> {
            prompts.add(p.clean());
            prompts.add(p.corrupted());
        });
        try (ActivationCache cache = model.forward(Batch.of(prompts))) {
            for (int i = 0; i < some.size(); i++) {
                PromptPair pair = new PromptPair(new CachedRun(cache, 2 * i), new CachedRun(cache, 2 * i + 1));
                add(HeadPatching.table(pair, readout, mode));
            }
        }
    }

    /** One more table, by Welford's recurrence. */
    private void add(HeadEffects table) {
        pairs++;
        clean += (table.clean() - clean) / pairs;
        corrupted += (table.corrupted() - corrupted) / pairs;
        for (int l = 0; l < mean.length; l++) {
            for (int h = 0; h < mean[l].length; h++) {
                double difference = table.effect()[l][h] - mean[l][h];
                mean[l][h] += difference / pairs;
                squares[l][h] += difference * (table.effect()[l][h] - mean[l][h]);
            }
        }
    }

    private MeanHeadEffects result() {
        double[][] error = new double[mean.length][mean[0].length];
        for (int l = 0; l < mean.length; l++) {
            for (int h = 0; h < mean[l].length; h++) {
                error[l][h] = Math.sqrt(squares[l][h] / (pairs - 1) / pairs);
            }
        }
        return new MeanHeadEffects(pairs, clean, corrupted, mean, error);
    }
}

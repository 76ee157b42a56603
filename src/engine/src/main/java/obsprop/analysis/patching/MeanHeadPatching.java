package obsprop.analysis.patching;

import java.util.List;
import java.util.function.Consumer;
import obsprop.analysis.runs.PromptPair;
import obsprop.analysis.runs.TokenPair;
import obsprop.model.ModelConfig;
import obsprop.model.Transformer;

/** Head patching over many prompt pairs: several pairs a forward pass, running means, bounded memory. */
public final class MeanHeadPatching {
    /** Elements of activations that a forward pass may hold. */
    private static final long ELEMENTS = 1L << 26;
    /** Tokens of a forward pass: more would make it no faster, only larger. */
    private static final int ROWS = 768;

    private final double[][] mean;
    private final double[][] squares;
    private double clean;
    private double corrupted;
    private int pairs;

    private MeanHeadPatching(Transformer model) {
        mean = new double[model.config().nLayers()][model.config().nHeads()];
        squares = new double[model.config().nLayers()][model.config().nHeads()];
    }

    /**
     * The mean effect of every head over the pairs, and its standard error.
     *
     * @param pairs at least one; each pair of one length, the pairs of any
     */
    public static MeanHeadEffects over(Transformer model, List<TokenPair> pairs, Readout readout, PatchMode mode) {
        return over(model, pairs, readout, mode, table -> {});
    }

    /**
     * The same.
     *
     * @param each is given every pair's own table, in their order
     */
    public static MeanHeadEffects over(
            Transformer model, List<TokenPair> pairs, Readout readout, PatchMode mode, Consumer<HeadEffects> each) {
        if (pairs.isEmpty()) {
            throw new IllegalArgumentException("a mean over prompt pairs needs at least one");
        }
        PromptPair.requireDirectEffects(model, "patching");
        MeanHeadPatching sums = new MeanHeadPatching(model);
        long rows = Math.clamp(ELEMENTS / elementsPerRow(model.config()), 1, ROWS);
        try (PairBatch batch = new PairBatch(model, readout, mode)) {
            for (int from = 0; from < pairs.size(); ) {
                int to = from + 1;
                long filled = 2L * pairs.get(from).clean().length;
                while (to < pairs.size() && filled + 2L * pairs.get(to).clean().length <= rows) {
                    filled += 2L * pairs.get(to++).clean().length;
                }
                batch.tables(pairs.subList(from, to)).forEach(table -> {
                    sums.add(table);
                    each.accept(table);
                });
                from = to;
            }
        }
        return sums.result();
    }

    /** Of activations: those of one block and of the stream around it. */
    private static long elementsPerRow(ModelConfig c) {
        return (2L * c.nHeads() + 2L * c.nKvHeads()) * c.dHead() + 3L * c.dMlp() + 6L * c.dModel();
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

package obsprop.analysis.heads;

import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import obsprop.propagation.Observable;
import obsprop.propagation.Propagator;
import obsprop.tensor.Tensor;

/**
 * How unusual a head's norms and cosines are: a permutation null. Each observable keeps its weights, but puts them on
 * tokens drawn at random from the vocabulary; a p-value is {@code (1 + number of draws at least as large) / (1 + draws)}.
 */
public final class HeadNull {
    /** Directions in one chain of products. */
    private static final int CHUNK = 64;

    private final HeadAnalysis analysis;
    private final int draws;
    private final long seed;

    /** @param draws random observables for each given one */
    public HeadNull(HeadAnalysis analysis, int draws, long seed) {
        if (draws < 1) {
            throw new IllegalArgumentException("a null distribution of " + draws + " draws: give 1 or more");
        }
        this.analysis = analysis;
        this.draws = draws;
        this.seed = seed;
    }

    /**
     * p-values of K observables at every head.
     *
     * @param norm [K][L][H]: against the norms of the observable's own draws
     * @param cosine [K][K][L][H], from and to: |cosine| against those of {@code from} with the draws of {@code to};
     *     1 on the diagonal
     */
    public record PValues(double[][][] norm, double[][][][] cosine) {}

    /** Tests these observables. */
    public PValues test(List<Observable> observables) {
        Counts counts = new Counts(observables.size());
        for (int k = 0; k < observables.size(); k++) {
            Random random = new Random(seed + k);
            for (int done = 0; done < draws; done += CHUNK) {
                counts.add(k, stacked(observables, k, Math.min(CHUNK, draws - done), random));
            }
        }
        return counts.pValues();
    }

    /** The table of the given observables followed by draws for number k. */
    private HeadTable stacked(List<Observable> observables, int k, int count, Random random) {
        List<Observable> all = new ArrayList<>(observables);
        for (int i = 0; i < count; i++) {
            all.add(permuted(observables.get(k), random));
        }
        try (Arena arena = Arena.ofShared()) {
            Tensor y = new Propagator(analysis.model()).unembed(all, arena);
            return analysis.table(y);
        }
    }

    private Observable permuted(Observable n, Random random) {
        int[] ids = random.ints(0, analysis.model().config().dVocab()).distinct().limit(n.ids().length).toArray();
        return new Observable(n.name(), ids, n.weights());
    }

    /** Draws at least as large as what they are compared with. */
    private final class Counts {
        private final int observables;
        private final int nLayers = analysis.model().config().nLayers();
        private final int nHeads = analysis.model().config().nHeads();
        private final int[][][] norm;
        private final int[][][][] cosine;

        Counts(int observables) {
            this.observables = observables;
            norm = new int[observables][nLayers][nHeads];
            cosine = new int[observables][observables][nLayers][nHeads];
        }

        void add(int k, HeadTable table) {
            for (int l = 0; l < nLayers; l++) {
                for (int h = 0; h < nHeads; h++) {
                    for (int draw = observables; draw < table.directions(); draw++) {
                        add(k, table, l, h, draw);
                    }
                }
            }
        }

        private void add(int k, HeadTable table, int l, int h, int draw) {
            norm[k][l][h] += table.norm(l, h, draw) >= table.norm(l, h, k) ? 1 : 0;
            for (int from = 0; from < observables; from++) {
                double drawn = Math.abs(table.cosine(l, h, from, draw));
                cosine[from][k][l][h] += drawn >= Math.abs(table.cosine(l, h, from, k)) ? 1 : 0;
            }
        }

        PValues pValues() {
            double[][][][] p = new double[observables][][][];
            for (int from = 0; from < observables; from++) {
                int row = from;
                p[from] = IntStream.range(0, observables)
                        .mapToObj(to -> row == to ? ones() : shares(cosine[row][to]))
                        .toArray(double[][][]::new);
            }
            return new PValues(IntStream.range(0, observables).mapToObj(k -> shares(norm[k])).toArray(double[][][]::new), p);
        }

        private double[][] shares(int[][] counts) {
            double[][] p = ones();
            for (int l = 0; l < nLayers; l++) {
                for (int h = 0; h < nHeads; h++) {
                    p[l][h] = (1.0 + counts[l][h]) / (1.0 + draws);
                }
            }
            return p;
        }

        private double[][] ones() {
            double[][] p = new double[nLayers][nHeads];
            for (double[] row : p) {
                Arrays.fill(row, 1);
            }
            return p;
        }
    }
}

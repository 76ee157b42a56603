package obsprop.analysis.statistics;

import java.util.Arrays;
import java.util.Comparator;
import java.util.Random;
import java.util.stream.IntStream;

/**
 * The area under the ROC curve: the probability that a positive example scores higher than a negative one, ties counting
 * half.
 */
public final class Auc {
    private Auc() {}

    /**
     * By ranks (Mann and Whitney).
     *
     * @return NaN where one of the classes is empty or a score is NaN
     */
    public static double of(double[] positive, double[] negative) {
        int n = positive.length + negative.length;
        double[] all = IntStream.range(0, n)
                .mapToDouble(i -> i < positive.length ? positive[i] : negative[i - positive.length])
                .toArray();
        if (Arrays.stream(all).anyMatch(Double::isNaN)) {
            return Double.NaN;
        }
        int[] order = IntStream.range(0, n)
                .boxed()
                .sorted(Comparator.comparingDouble(i -> all[i]))
                .mapToInt(i -> i)
                .toArray();
        double ranks = 0;
        for (int first = 0, next = 0; first < n; first = next) {
            int positives = 0;
            for (next = first; next < n && all[order[next]] == all[order[first]]; next++) {
                positives += order[next] < positive.length ? 1 : 0;
            }
            ranks += positives * (first + 1 + next) / 2.0;
        }
        double pairs = (double) positive.length * negative.length;
        return (ranks - positive.length * (positive.length + 1.0) / 2) / pairs;
    }

    /** The percentile bootstrap interval, examples of each class drawn anew from their own. */
    public static Interval interval(double[] positive, double[] negative, int replicates, double level, long seed) {
        Random random = new Random(seed);
        double[] values = new double[replicates];
        for (int b = 0; b < replicates; b++) {
            values[b] = of(resampled(positive, random), resampled(negative, random));
        }
        return Interval.percentile(values, level);
    }

    private static double[] resampled(double[] values, Random random) {
        double[] drawn = new double[values.length];
        Arrays.setAll(drawn, i -> values[random.nextInt(values.length)]);
        return drawn;
    }
}

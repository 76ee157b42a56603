package obsprop.analysis.statistics;

import java.util.Arrays;

/** A confidence interval. */
public record Interval(double low, double high) {
    /**
     * The percentile interval of bootstrap replicates; those that are not finite are left out.
     *
     * @param level for instance 0.95
     */
    public static Interval percentile(double[] replicates, double level) {
        double[] sorted = Arrays.stream(replicates).filter(Double::isFinite).sorted().toArray();
        return new Interval(quantile(sorted, (1 - level) / 2), quantile(sorted, (1 + level) / 2));
    }

    /** Linear interpolation between order statistics; NaN without any. */
    private static double quantile(double[] sorted, double p) {
        if (sorted.length == 0) {
            return Double.NaN;
        }
        double at = p * (sorted.length - 1);
        int below = (int) at;
        int above = Math.min(below + 1, sorted.length - 1);
        return sorted[below] + (at - below) * (sorted[above] - sorted[below]);
    }

    public boolean contains(double value) {
        return low <= value && value <= high;
    }
}

package obsprop.analysis.probes;

/**
 * How probes are trained and judged.
 *
 * @param perClass training examples of each class; all others are for testing
 * @param lambda of the logistic regression's L2 term
 * @param replicates of the bootstrap
 * @param level of the intervals, for instance 0.95
 * @param seed of the split and of the bootstrap
 */
public record ProbeOptions(int perClass, double lambda, int replicates, double level, long seed) {
    public static final ProbeOptions DEFAULT = new ProbeOptions(25, 1, 1000, 0.95, 0);

    public ProbeOptions {
        if (perClass < 1 || !(lambda > 0) || replicates < 1 || !(level > 0 && level < 1)) {
            throw new IllegalArgumentException("a probe needs training examples, a positive lambda, bootstrap replicates and"
                    + " a level between 0 and 1: " + perClass + ", " + lambda + ", " + replicates + ", " + level);
        }
    }
}

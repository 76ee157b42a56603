package obsprop.weights.train;

import obsprop.tensor.Tensor;

/** The mean of {@code -log softmax(logits)[target]} over the rows that have a target. */
final class CrossEntropy {
    /** For rows that predict nothing. */
    static final int NO_TARGET = -1;

    private CrossEntropy() {}

    /**
     * The sum of the losses in nats; turns the logits into their cotangents times {@code scale}.
     *
     * @param logits [N,V], overwritten by {@code scale * (softmax - onehot(target))}, zero where there is no target
     * @param targets of these rows
     */
    static double inPlace(Tensor logits, int[] targets, double scale) {
        double sum = 0;
        for (int r = 0; r < targets.length; r++) {
            sum += row(logits, r, targets[r], scale);
        }
        return sum;
    }

    private static double row(Tensor logits, int r, int target, double scale) {
        int n = logits.size(1);
        long start = r * logits.stride(0);
        if (target == NO_TARGET) {
            for (int v = 0; v < n; v++) {
                logits.write(start + v, 0);
            }
            return 0;
        }
        double largest = Double.NEGATIVE_INFINITY;
        for (int v = 0; v < n; v++) {
            largest = Math.max(largest, logits.read(start + v));
        }
        double atTarget = logits.read(start + target) - largest;
        double[] weights = new double[n];
        double sum = 0;
        for (int v = 0; v < n; v++) {
            weights[v] = Math.exp(logits.read(start + v) - largest);
            sum += weights[v];
        }
        for (int v = 0; v < n; v++) {
            logits.write(start + v, scale * (weights[v] / sum - (v == target ? 1 : 0)));
        }
        return Math.log(sum) - atTarget;
    }
}

package obsprop.weights.train;

/**
 * The learning rate rises linearly during the warm-up and falls along a cosine to a fraction of its peak.
 *
 * @param peak the largest rate
 * @param warmUp number of steps until it is reached
 * @param steps number of steps in all
 */
record Schedule(double peak, int warmUp, int steps) {
    private static final double FLOOR = 0.03;

    /** @param step from 1 */
    double rate(int step) {
        if (step <= warmUp) {
            return peak * step / warmUp;
        }
        double progress = (double) (step - warmUp) / Math.max(1, steps - warmUp);
        return peak * (FLOOR + (1 - FLOOR) * (1 + Math.cos(Math.PI * progress)) / 2);
    }
}

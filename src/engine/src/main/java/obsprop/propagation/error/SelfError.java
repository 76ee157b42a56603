package obsprop.propagation.error;

import obsprop.propagation.FeatureVector;
import obsprop.propagation.HostRows;

/**
 * A feature vector's own error: it predicts that a step of length s along itself changes the observable by
 * {@code s ||y||}; what happens is measured, with steps forwards and backwards.
 *
 * <p>Measured with the {@link TotalEffect}, the vector of one path cannot be right where other paths matter too,
 * however short the step; the error of linearising alone shows where only the path's own effect is measured.
 */
public final class SelfError {
    /** In activation lengths: where the search for the largest step begins, and its ends. */
    private static final double FIRST = 1.0 / 16;

    private static final double SHORTEST = 1.0 / 4096;
    private static final double LONGEST = 256;
    private static final int BISECTIONS = 20;

    private final FeatureVector y;
    private final StepEffect effect;
    private final double resolution;

    /**
     * For an effect without rounding.
     *
     * @throws IllegalArgumentException if the vector is zero: there is no step along it
     */
    public SelfError(FeatureVector y, StepEffect effect) {
        this(y, effect, 0);
    }

    /**
     * The same.
     *
     * @param resolution what an effect may be off by rounding
     */
    public SelfError(FeatureVector y, StepEffect effect, double resolution) {
        this.y = y;
        this.effect = effect;
        this.resolution = resolution;
        if (!(y.norm() > 0)) {
            throw new IllegalArgumentException(
                    "the feature vector of path \"" + y.provenance().path() + "\" is zero: there is no step along it");
        }
    }

    /**
     * Predicted and actual effect of a step along the vector and of the opposite step.
     *
     * @param length of the step in the residual stream
     * @param predicted of the forward step; the backward step's is its negative
     */
    public record Measurement(double length, double predicted, double forward, double backward) {
        /** The larger of the two errors, as a share of the prediction. */
        public double error() {
            return Math.max(Math.abs(forward - predicted), Math.abs(backward + predicted)) / predicted;
        }
    }

    /**
     * The largest step whose error stays under a share.
     *
     * @param step 0 where even the shortest step tried is worse, or nothing can be told; the longest step tried where none is
     * @param reach what {@code step} is
     */
    public record Largest(double share, double step, Reach reach) {}

    /** How the search for the largest step ended. */
    public enum Reach {
        /** At the step where the error crosses the share. */
        FOUND,
        /** Even the shortest step tried has a larger error. */
        NOWHERE,
        /** Every step has a larger error that is long enough for rounding not to be taken for one. */
        UNRESOLVED,
        /** The longest step tried has a smaller error. */
        EVERYWHERE
    }

    /** Tries steps of one length. */
    public Measurement measure(double length) {
        double scale = length / y.norm();
        double[] none = new double[y.direction().length];
        double forward = effect.of(HostRows.plus(none, scale, y.direction()));
        double backward = effect.of(HostRows.plus(none, -scale, y.direction()));
        return new Measurement(length, length * y.norm(), forward, backward);
    }

    /**
     * The first step, going up from short ones by doubling and then bisecting, at which the error exceeds the share.
     *
     * @param activationNorm length of the activation at the site, the scale of what is tried
     */
    public Largest largestStep(double share, double activationNorm) {
        if (!(share > 0) || !(activationNorm > 0)) {
            throw new IllegalArgumentException(
                    "share " + share + " and activation length " + activationNorm + " must be positive");
        }
        double told = resolution / (share * y.norm());
        double shortest = Math.max(SHORTEST * activationNorm, told);
        double good = Math.max(FIRST * activationNorm, told);
        while (good > LONGEST * activationNorm || exceeds(good, share)) {
            good /= 2;
            if (good < shortest) {
                return new Largest(share, 0, shortest == told ? Reach.UNRESOLVED : Reach.NOWHERE);
            }
        }
        double bad = 2 * good;
        while (!exceeds(bad, share)) {
            good = bad;
            bad *= 2;
            if (good >= LONGEST * activationNorm) {
                return new Largest(share, good, Reach.EVERYWHERE);
            }
        }
        for (int i = 0; i < BISECTIONS; i++) {
            double middle = (good + bad) / 2;
            if (exceeds(middle, share)) {
                bad = middle;
            } else {
                good = middle;
            }
        }
        return new Largest(share, good, Reach.FOUND);
    }

    private boolean exceeds(double length, double share) {
        return !(measure(length).error() <= share);
    }
}

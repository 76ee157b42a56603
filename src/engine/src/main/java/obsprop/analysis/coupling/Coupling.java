package obsprop.analysis.coupling;

import obsprop.analysis.statistics.Vectors;

/**
 * What two feature vectors y1 (from) and y2 (to) of R^d say about each other's scores, for x uniform on a sphere. Not
 * symmetric.
 *
 * @param dimension d
 * @param fromNorm {@code ||y1||}
 * @param toNorm {@code ||y2||}
 * @param cosine of the angle between them
 */
public record Coupling(int dimension, double fromNorm, double toNorm, double cosine) {
    /** @throws IllegalArgumentException if the lengths differ, or a vector is zero or not finite */
    public static Coupling of(double[] from, double[] to) {
        double cosine = Vectors.cosine(from, to);
        if (!Double.isFinite(cosine)) {
            throw new IllegalArgumentException(
                    "the coupling of vectors of norms " + Vectors.norm(from) + " and " + Vectors.norm(to) + " is not defined");
        }
        return new Coupling(from.length, Vectors.norm(from), Vectors.norm(to), cosine);
    }

    /** {@code C(y1, y2) = (y1 . y2) / ||y1||^2}: the slope of {@code x . y2} on {@code x . y1}. */
    public double coefficient() {
        return cosine * toNorm / fromNorm;
    }

    /** The share of the variance of {@code x . y2} that {@code x . y1} explains over the whole sphere: cos^2. */
    public double predictedR2() {
        return cosine * cosine;
    }

    /**
     * What is known of {@code x . y2} where {@code x . y1 = k}.
     *
     * @param mean its expectation, {@code k C(y1, y2)}
     * @param low the least it can be
     * @param high the most it can be
     * @param spread its standard deviation
     */
    public record Prediction(double mean, double low, double high, double spread) {}

    /**
     * For x uniform on the sphere of radius {@code radius} subject to {@code x . y1 = score}.
     *
     * @throws IllegalArgumentException if no x of that length has that score
     */
    public Prediction given(double score, double radius) {
        double rest = radius * radius - score * score / (fromNorm * fromNorm);
        if (!(rest >= 0)) {
            throw new IllegalArgumentException("no vector of length " + radius + " has the score " + score
                    + " along a vector of norm " + fromNorm + ": the largest is " + radius * fromNorm);
        }
        double mean = score * coefficient();
        double reach = toNorm * Math.sqrt(1 - cosine * cosine) * Math.sqrt(rest);
        return new Prediction(mean, mean - reach, mean + reach, dimension < 2 ? 0 : reach / Math.sqrt(dimension - 1));
    }
}

package obsprop.analysis.coupling;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Random;
import obsprop.analysis.statistics.Moments;
import obsprop.analysis.statistics.Vectors;
import org.junit.jupiter.api.Test;

/** The predictions against simulations on the sphere. */
class CouplingTest {
    private static final int SAMPLES = 200_000;
    /** Standard errors that a mean may be off by. */
    private static final double SIGMAS = 5;

    @Test
    void predictsMeanSpreadAndRangeOnSphereCap() {
        for (int d : new int[] {3, 7, 40}) {
            Random random = new Random(d);
            double[] from = gaussian(random, d);
            double[] to = gaussian(random, d);
            Vectors.addScaled(1.5, from, to);
            double radius = 3;
            double score = 0.4 * radius * Vectors.norm(from);
            Coupling.Prediction prediction = Coupling.of(from, to).given(score, radius);
            Moments moments = new Moments();
            for (int i = 0; i < SAMPLES; i++) {
                double[] x = onSphere(random, from, score, radius);
                assertEquals(score, Vectors.dot(x, from), 1e-12 * Math.abs(score));
                double y = Vectors.dot(x, to);
                double rounding = 1e-12 * radius * Vectors.norm(to);
                assertTrue(prediction.low() - rounding <= y && y <= prediction.high() + rounding, "outside the hard range");
                moments.add(y, 0);
            }
            double meanError = prediction.spread() / Math.sqrt(SAMPLES);
            System.out.printf("d = %d: mean %.5f (predicted %.5f), spread %.5f (predicted %.5f)%n", d,
                    moments.meanX(), prediction.mean(), moments.deviationX(), prediction.spread());
            assertEquals(prediction.mean(), moments.meanX(), SIGMAS * meanError);
            assertEquals(prediction.spread(), moments.deviationX(), SIGMAS * meanError);
        }
    }

    /** In the plane both ends of the range are reached, and nothing else. */
    @Test
    void rangeIsTight() {
        double[] from = {2, 0};
        double[] to = {3, 4};
        Coupling.Prediction p = Coupling.of(from, to).given(2, Math.sqrt(10));
        assertEquals(3, p.mean(), 1e-14);
        assertEquals(3 - 4 * 3, p.low(), 1e-13);
        assertEquals(3 + 4 * 3, p.high(), 1e-13);
        assertEquals(4 * 3, p.spread(), 1e-13);
    }

    @Test
    void predictsSlopeAndShareOfVarianceOverWholeSphere() {
        int d = 12;
        Random random = new Random(5);
        double[] from = gaussian(random, d);
        double[] to = gaussian(random, d);
        Vectors.addScaled(-1, from, to);
        Coupling coupling = Coupling.of(from, to);
        Moments moments = new Moments();
        for (int i = 0; i < SAMPLES; i++) {
            double[] x = scaled(gaussian(random, d), 2);
            moments.add(Vectors.dot(x, from), Vectors.dot(x, to));
        }
        Moments.Line line = moments.line();
        System.out.printf("slope %.4f (predicted %.4f), r^2 %.4f (predicted %.4f)%n",
                line.slope(), coupling.coefficient(), line.r2(), coupling.predictedR2());
        assertEquals(coupling.coefficient(), line.slope(), SIGMAS / Math.sqrt(SAMPLES) * coupling.toNorm() / coupling.fromNorm());
        assertEquals(coupling.predictedR2(), line.r2(), 2 * SIGMAS / Math.sqrt(SAMPLES));
        assertEquals(0, line.intercept(), SIGMAS * 2 * coupling.toNorm() / Math.sqrt(SAMPLES));
    }

    @Test
    void isNotSymmetric() {
        double[] a = {1, 1};
        double[] b = {4, 0};
        assertEquals(2, Coupling.of(a, b).coefficient(), 1e-14);
        assertEquals(0.25, Coupling.of(b, a).coefficient(), 1e-14);
    }

    @Test
    void refusesWhatIsNotDefined() {
        assertThrows(IllegalArgumentException.class, () -> Coupling.of(new double[2], new double[] {1, 0}));
        assertThrows(IllegalArgumentException.class, () -> Coupling.of(new double[2], new double[3]));
        var coupling = Coupling.of(new double[] {2, 0}, new double[] {1, 0});
        assertThrows(IllegalArgumentException.class, () -> coupling.given(2.1, 1));
    }

    private static double[] gaussian(Random random, int d) {
        return random.doubles(d).map(i -> random.nextGaussian()).toArray();
    }

    private static double[] scaled(double[] x, double length) {
        double[] y = new double[x.length];
        Vectors.addScaled(length / Vectors.norm(x), x, y);
        return y;
    }

    /** Uniform among the vectors of length {@code radius} with x . from = score. */
    private static double[] onSphere(Random random, double[] from, double score, double radius) {
        double[] x = gaussian(random, from.length);
        double square = Vectors.dot(from, from);
        Vectors.addScaled(-Vectors.dot(x, from) / square, from, x);
        double[] y = scaled(x, Math.sqrt(radius * radius - score * score / square));
        Vectors.addScaled((score - Vectors.dot(y, from)) / square, from, y);
        return y;
    }
}

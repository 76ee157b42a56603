package obsprop.testing;

import static org.junit.jupiter.api.Assertions.assertTrue;

/** Compares against tolerances, and on closing prints the largest error met, also when all is well. */
public final class Measured implements AutoCloseable {
    private final String what;
    private double largestError;
    private double largestShare;
    private long compared;

    public Measured(String what) {
        this.what = what;
    }

    /** Fails where {@code |actual - expected| > tolerance} or either is NaN. */
    public void check(String context, double actual, double expected, double tolerance) {
        double error = Math.abs(actual - expected);
        compared++;
        if (!(error <= tolerance)) {
            throw new AssertionError(what + ", " + context + ": " + actual + " where " + expected + " is right, error "
                    + error + ", tolerance " + tolerance);
        }
        largestError = Math.max(largestError, error);
        largestShare = tolerance > 0 ? Math.max(largestShare, error / tolerance) : largestShare;
    }

    /** Element by element. */
    public void check(String context, double[] actual, double[] expected, double tolerance) {
        assertTrue(expected.length == actual.length, what + " " + context + ": number of elements");
        for (int i = 0; i < expected.length; i++) {
            check(context + " element " + i, actual[i], expected[i], tolerance);
        }
    }

    @Override
    public void close() {
        assertTrue(compared > 0, what + ": nothing was compared");
        System.out.printf(
                "%-44s %8d values, largest error %.2e, %5.1f %% of its tolerance%n",
                what, compared, largestError, 100 * largestShare);
    }
}

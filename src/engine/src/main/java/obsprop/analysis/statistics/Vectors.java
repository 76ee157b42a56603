package obsprop.analysis.statistics;

/** Inner products of small vectors. */
public final class Vectors {
    private Vectors() {}

    /** {@code a . b}, for vectors of one length. */
    public static double dot(double[] a, double[] b) {
        if (a.length != b.length) {
            throw new IllegalArgumentException("vectors of " + a.length + " and " + b.length + " elements");
        }
        double sum = 0;
        for (int i = 0; i < a.length; i++) {
            sum += a[i] * b[i];
        }
        return sum;
    }

    /** {@code ||a||}. */
    public static double norm(double[] a) {
        return Math.sqrt(dot(a, a));
    }

    /** The cosine of the angle between a and b; NaN where one of them is zero. */
    public static double cosine(double[] a, double[] b) {
        return Math.clamp(dot(a, b) / (norm(a) * norm(b)), -1, 1);
    }

    /** {@code y += alpha x}. */
    public static void addScaled(double alpha, double[] x, double[] y) {
        for (int i = 0; i < y.length; i++) {
            y[i] += alpha * x[i];
        }
    }
}

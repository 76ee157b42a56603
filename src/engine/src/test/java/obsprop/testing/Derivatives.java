package obsprop.testing;

import java.util.Random;
import java.util.function.UnaryOperator;

/** Proves a VJP against its forward function, both in double, by central differences of eighth order. */
public final class Derivatives {
    /** Weights of {@code f(x + i h) - f(x - i h)}, i from 1 (Fornberg, Math. Comp. 51, 1988). */
    private static final double[] STENCIL = {4.0 / 5, -1.0 / 5, 4.0 / 105, -1.0 / 280};

    private static final int DIRECTIONS = 3;

    private Derivatives() {}

    /** A function and {@code J(x)^T u}. */
    public record Case(String name, UnaryOperator<double[]> forward, Vjp vjp) {}

    /** {@code (x, u) -> J(x)^T u}. */
    public interface Vjp {
        double[] apply(double[] x, double[] u);
    }

    /** {@code J(x) v}. */
    public static double[] along(UnaryOperator<double[]> f, double[] x, double[] v) {
        double[] sum = null;
        for (int i = 1; i <= STENCIL.length; i++) {
            double[] ahead = f.apply(moved(x, i * Tolerance.STEP, v));
            double[] behind = f.apply(moved(x, -i * Tolerance.STEP, v));
            sum = sum == null ? new double[ahead.length] : sum;
            for (int j = 0; j < sum.length; j++) {
                sum[j] += STENCIL[i - 1] * (ahead[j] - behind[j]) / Tolerance.STEP;
            }
        }
        return sum;
    }

    /**
     * Checks at x the adjoint identity {@code <u, J v> = <J^T u, v>} for a few random v, and every element of
     * {@code J^T u} by central differences.
     */
    public static void check(Case test, double[] x, Random random) {
        double[] value = test.forward().apply(x);
        double[] u = Tensors.random(random, 1, value.length);
        double[] pulled = test.vjp().apply(x, u);
        try (Measured measured = new Measured("derivative of " + test.name())) {
            for (int i = 0; i < DIRECTIONS; i++) {
                double[] v = Tensors.random(random, 1, x.length);
                double[] jv = along(test.forward(), x, v);
                double magnitude = norm(u) * (norm(value) + norm(jv));
                measured.check("adjoint", dot(pulled, v), dot(u, jv), Tolerance.ofDifferences(magnitude));
            }
            for (int i = 0; i < x.length; i++) {
                double[] unit = new double[x.length];
                unit[i] = 1;
                double[] column = along(test.forward(), x, unit);
                double magnitude = norm(u) * (norm(value) + norm(column));
                measured.check("element " + i, pulled[i], dot(u, column), Tolerance.ofDifferences(magnitude));
            }
        }
    }

    private static double[] moved(double[] x, double step, double[] v) {
        double[] out = x.clone();
        for (int i = 0; i < x.length; i++) {
            out[i] += step * v[i];
        }
        return out;
    }

    private static double dot(double[] a, double[] b) {
        double sum = 0;
        for (int i = 0; i < a.length; i++) {
            sum += a[i] * b[i];
        }
        return sum;
    }

    private static double norm(double[] a) {
        return Math.sqrt(dot(a, a));
    }
}

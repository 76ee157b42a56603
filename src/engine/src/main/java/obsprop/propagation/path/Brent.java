package obsprop.propagation.path;

import java.util.function.DoubleUnaryOperator;

/** Roots and minima of functions of one number. */
final class Brent {
    private static final int MOST_STEPS = 200;
    private static final double GOLDEN = (Math.sqrt(5) - 1) / 2;

    private Brent() {}

    /**
     * A root between a and b, where f has opposite signs, by Brent's method: inverse quadratic interpolation or the
     * secant while they converge, bisection where they do not (Brent, Algorithms for Minimization without Derivatives,
     * 1973, chapter 4).
     *
     * @param tolerance how close to the root in the argument
     */
    static double root(DoubleUnaryOperator f, double left, double right, double tolerance) {
        double a = left;
        double b = right;
        double fa = f.applyAsDouble(a);
        double fb = f.applyAsDouble(b);
        if (!(fa * fb <= 0)) {
            throw new IllegalArgumentException("no change of sign between " + left + " and " + right);
        }
        double c = a;
        double fc = fa;
        double step = b - a;
        double before = step;
        for (int i = 0; i < MOST_STEPS; i++) {
            if (Math.abs(fc) < Math.abs(fb)) {
                a = b;
                fa = fb;
                b = c;
                fb = fc;
                c = a;
                fc = fa;
            }
            double close = 2 * Math.ulp(b) + tolerance / 2;
            double half = (c - b) / 2;
            if (Math.abs(half) <= close || fb == 0) {
                return b;
            }
            double proposed = proposal(a, b, c, fa, fb, fc);
            boolean converges = Math.abs(before) >= close && Math.abs(fa) > Math.abs(fb)
                    && 2 * Math.abs(proposed) < Math.min(Math.abs(3 * half) - close, Math.abs(before))
                    && proposed * half > 0;
            before = converges ? step : half;
            step = converges ? proposed : half;
            a = b;
            fa = fb;
            b += Math.abs(step) > close ? step : Math.copySign(close, half);
            fb = f.applyAsDouble(b);
            if (fb * fc > 0) {
                c = a;
                fc = fa;
                step = b - a;
                before = step;
            }
        }
        return b;
    }

    /** From b towards the root: the secant through a and b, or the inverse parabola through a, b and c. */
    private static double proposal(double a, double b, double c, double fa, double fb, double fc) {
        double s = fb / fa;
        if (a == c) {
            return -(c - b) * s / (1 - s);
        }
        double q = fa / fc;
        double r = fb / fc;
        double p = s * ((c - b) * q * (q - r) - (b - a) * (r - 1));
        return -p / ((q - 1) * (r - 1) * (s - 1));
    }

    /** The argument of a minimum between left and right by golden sections; f has one minimum there. */
    static double minimum(DoubleUnaryOperator f, double left, double right, double tolerance) {
        double a = left;
        double b = right;
        double x = b - GOLDEN * (b - a);
        double y = a + GOLDEN * (b - a);
        double fx = f.applyAsDouble(x);
        double fy = f.applyAsDouble(y);
        while (b - a > tolerance) {
            if (fx < fy) {
                b = y;
                y = x;
                fy = fx;
                x = b - GOLDEN * (b - a);
                fx = f.applyAsDouble(x);
            } else {
                a = x;
                x = y;
                fx = fy;
                y = a + GOLDEN * (b - a);
                fy = f.applyAsDouble(y);
            }
        }
        return fx < fy ? x : y;
    }
}

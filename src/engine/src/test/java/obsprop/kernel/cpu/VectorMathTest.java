package obsprop.kernel.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.function.DoubleUnaryOperator;
import java.util.function.UnaryOperator;
import jdk.incubator.vector.FloatVector;
import obsprop.testing.Measured;
import org.junit.jupiter.api.Test;

/** The vector functions against double precision, in units of the last place. */
final class VectorMathTest {
    private static final float[] SPECIAL = {
        0f, -0f, Float.MIN_VALUE, -Float.MIN_NORMAL, 1e-20f, 0.625f, 0.927734375f, Math.nextUp(0.927734375f), 1f, -1f, 9.1f,
        -9.1f, 88.7f, -87.4f, -103.9f
    };

    @Test
    void exp() {
        ulps("exp", VectorMath::exp, Math::exp, -103.9, 88.7, 1.5);
        assertEquals(0f, at(VectorMath::exp, Float.NEGATIVE_INFINITY));
        assertEquals(0f, at(VectorMath::exp, -200f));
        assertEquals(Float.POSITIVE_INFINITY, at(VectorMath::exp, 100f));
        assertEquals(Float.POSITIVE_INFINITY, at(VectorMath::exp, Float.POSITIVE_INFINITY));
        assertEquals(Float.NaN, at(VectorMath::exp, Float.NaN));
    }

    @Test
    void tanh() {
        ulps("tanh", VectorMath::tanh, Math::tanh, -12, 12, 2);
        assertEquals(1f, at(VectorMath::tanh, Float.POSITIVE_INFINITY));
        assertEquals(-1f, at(VectorMath::tanh, Float.NEGATIVE_INFINITY));
        assertEquals(Float.NaN, at(VectorMath::tanh, Float.NaN));
    }

    @Test
    void sigmoid() {
        ulps("sigmoid", VectorMath::sigmoid, x -> 1 / (1 + Math.exp(-x)), -87, 20, 3);
        ulps("sigmoid'", VectorMath::sigmoidSlope, VectorMathTest::sigmoidSlope, -87, 87, 5);
    }

    private static double sigmoidSlope(double x) {
        double e = Math.exp(-Math.abs(x));
        return e / ((1 + e) * (1 + e));
    }

    @Test
    void erf() {
        ulps("erf", VectorMath::erf, VectorMathTest::erfInDouble, -5, 5, 2);
        assertEquals(1f, at(VectorMath::erf, Float.POSITIVE_INFINITY));
        assertEquals(-1f, at(VectorMath::erf, -1e20f));
        assertEquals(Float.NaN, at(VectorMath::erf, Float.NaN));
    }

    /** erf by its series of positive terms: 2/sqrt(pi) e^(-x^2) x sum (2x^2)^n / (1 3 5 ...). */
    private static double erfInDouble(double x) {
        double term = x;
        double sum = x;
        for (int n = 1; n < 200; n++) {
            term *= 2 * x * x / (2 * n + 1);
            sum += term;
        }
        return 2 / Math.sqrt(Math.PI) * Math.exp(-x * x) * sum;
    }

    private static float at(UnaryOperator<FloatVector> f, float x) {
        return f.apply(FloatVector.broadcast(Lanes.F, x)).lane(0);
    }

    private static void ulps(
            String name, UnaryOperator<FloatVector> f, DoubleUnaryOperator exact, double from, double to, double bound) {
        try (Measured measured = new Measured(name + ", ulp")) {
            int steps = 200_000;
            float[] lanes = new float[Lanes.N];
            for (int i = 0; i < steps; i += Lanes.N) {
                for (int lane = 0; lane < Lanes.N; lane++) {
                    lanes[lane] = (float) (from + (to - from) * (i + lane) / steps);
                }
                compare(measured, f, exact, lanes, bound);
            }
            for (float x : SPECIAL) {
                if (x >= from && x <= to) {
                    java.util.Arrays.fill(lanes, x);
                    compare(measured, f, exact, lanes, bound);
                }
            }
        }
    }

    private static void compare(
            Measured measured, UnaryOperator<FloatVector> f, DoubleUnaryOperator exact, float[] lanes, double bound) {
        FloatVector result = f.apply(FloatVector.fromArray(Lanes.F, lanes, 0));
        for (int lane = 0; lane < Lanes.N; lane++) {
            double right = exact.applyAsDouble(lanes[lane]);
            double ulp = Math.ulp((float) right);
            measured.check("at " + lanes[lane], result.lane(lane) / ulp, right / ulp, bound);
        }
    }
}

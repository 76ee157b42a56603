package obsprop.kernel.cpu;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.function.DoubleUnaryOperator;
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
        ulps("exp", VectorMathTest::exp, Math::exp, -103.9, 88.7, 1.5);
        assertEquals(0f, at(VectorMathTest::exp, Float.NEGATIVE_INFINITY));
        assertEquals(0f, at(VectorMathTest::exp, -200f));
        assertEquals(Float.POSITIVE_INFINITY, at(VectorMathTest::exp, 100f));
        assertEquals(Float.POSITIVE_INFINITY, at(VectorMathTest::exp, Float.POSITIVE_INFINITY));
        assertEquals(Float.NaN, at(VectorMathTest::exp, Float.NaN));
    }

    @Test
    void log() {
        ulps("log", VectorMathTest::log, Math::log, 1, Lanes.N, 1.5);
        ulps("log of small numbers", VectorMathTest::log, Math::log, Float.MIN_NORMAL, 1, 1.5);
        ulps("log of large numbers", VectorMathTest::log, Math::log, 1, Float.MAX_VALUE, 1.5);
        assertEquals(Float.NaN, at(VectorMathTest::log, Float.POSITIVE_INFINITY));
        assertEquals(Float.NaN, at(VectorMathTest::log, Float.NaN));
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

    /** A function over strips: from x to y with scratch e. */
    private interface Strip {
        void apply(MemorySegment x, MemorySegment y, MemorySegment e, int bytes);
    }

    private static void log(MemorySegment x, MemorySegment y, MemorySegment e, int bytes) {
        VectorMath.log(x, y, bytes);
    }

    private static void exp(MemorySegment x, MemorySegment y, MemorySegment e, int bytes) {
        VectorMath.exp(x, 0, y, 0, bytes);
    }

    private static float at(Strip f, float x) {
        float[] lanes = new float[Lanes.N];
        Arrays.fill(lanes, x);
        return apply(f, lanes)[0];
    }

    private static float[] apply(Strip f, float[] lanes) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment x = arena.allocateFrom(Lanes.FLOAT, lanes);
            MemorySegment y = arena.allocate(x.byteSize());
            f.apply(x, y, arena.allocate(x.byteSize()), (int) x.byteSize());
            return y.toArray(Lanes.FLOAT);
        }
    }

    private static void ulps(
            String name, Strip f, DoubleUnaryOperator exact, double from, double to, double bound) {
        try (Measured measured = new Measured(name + ", ulp")) {
            float[] x = new float[200_000 + SPECIAL.length + Lanes.N];
            for (int i = 0; i < x.length; i++) {
                x[i] = (float) Math.min(to, from + (to - from) * i / 200_000);
            }
            for (int i = 0; i < SPECIAL.length; i++) {
                x[i] = SPECIAL[i] >= from && SPECIAL[i] <= to ? SPECIAL[i] : x[i];
            }
            float[] y = apply(f, Arrays.copyOf(x, Lanes.whole(x.length)));
            for (int i = 0; i < y.length; i++) {
                double right = exact.applyAsDouble(x[i]);
                double ulp = Math.ulp((float) right);
                measured.check("at " + x[i], y[i] / ulp, right / ulp, bound);
            }
        }
    }
}

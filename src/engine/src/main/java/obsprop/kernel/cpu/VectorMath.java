package obsprop.kernel.cpu;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;

/** exp, tanh, erf and the logistic function in fp32, to about 2 ulp; small enough that C2 inlines them. */
final class VectorMath {
    private static final float LOG2_E = 1.44269504f;
    /** ln 2 in two parts: multiples of the first up to 2^8 are exact. */
    private static final float LN2_HIGH = 0.693359375f;

    private static final float LN2_LOW = -2.12194440e-4f;
    /** Adding 1.5 * 2^23 rounds to an integer, found in the low bits. */
    private static final float ROUND = 0x1.8p23f;

    private static final int ROUND_BITS = Float.floatToRawIntBits(ROUND);
    private static final int ONE_BITS = 127;

    private VectorMath() {}

    /** e^x; 0 below -104 and infinity above 88.73, subnormals between. */
    static FloatVector exp(FloatVector x) {
        FloatVector low = x.blend(-104f, x.compare(VectorOperators.LT, -104f));
        FloatVector y = low.blend(89f, low.compare(VectorOperators.GT, 89f));
        FloatVector rounded = y.fma(LOG2_E, ROUND);
        FloatVector whole = rounded.sub(ROUND);
        FloatVector r = whole.lanewise(VectorOperators.FMA, -LN2_LOW, whole.lanewise(VectorOperators.FMA, -LN2_HIGH, y));
        FloatVector p = r.fma(1.9875691500e-4f, 1.3981999507e-3f);
        p = p.lanewise(VectorOperators.FMA, r, 8.3334519073e-3f);
        p = p.lanewise(VectorOperators.FMA, r, 4.1665795894e-2f);
        p = p.lanewise(VectorOperators.FMA, r, 1.6666665459e-1f);
        p = p.lanewise(VectorOperators.FMA, r, 5.0000001201e-1f);
        p = p.fma(r.mul(r), r).add(1f);
        // 2^n in two factors, as n may leave the exponents of normal numbers.
        IntVector n = rounded.reinterpretAsInts().sub(ROUND_BITS);
        IntVector half = n.lanewise(VectorOperators.ASHR, 1);
        IntVector rest = n.sub(half);
        p = p.mul(half.add(ONE_BITS).lanewise(VectorOperators.LSHL, 23).reinterpretAsFloats());
        return p.mul(rest.add(ONE_BITS).lanewise(VectorOperators.LSHL, 23).reinterpretAsFloats());
    }

    static FloatVector tanh(FloatVector x) {
        FloatVector size = x.abs();
        FloatVector z = x.mul(x);
        FloatVector p = z.fma(-5.70498872745e-3f, 2.06390887954e-2f);
        p = p.lanewise(VectorOperators.FMA, z, -5.37397155531e-2f);
        p = p.lanewise(VectorOperators.FMA, z, 1.33314422036e-1f);
        p = p.lanewise(VectorOperators.FMA, z, -3.33332819422e-1f);
        FloatVector small = p.mul(z).fma(x, x);
        FloatVector e = exp(size.add(size));
        FloatVector large = FloatVector.broadcast(Lanes.F, 1f).sub(FloatVector.broadcast(Lanes.F, 2f).div(e.add(1f)));
        VectorMask<Float> negative = x.compare(VectorOperators.LT, 0f);
        return large.blend(large.neg(), negative).blend(small, size.compare(VectorOperators.LT, 0.625f));
    }

    static FloatVector erf(FloatVector x) {
        FloatVector t = x.abs();
        FloatVector s = x.mul(x);
        FloatVector p = t.fma(-1.72853470e-5f, 3.83197126e-4f);
        p = p.fma(s, t.fma(-3.88396438e-3f, 2.42546219e-2f));
        p = p.lanewise(VectorOperators.FMA, t, -1.06777877e-1f);
        p = p.lanewise(VectorOperators.FMA, t, -6.34846687e-1f);
        p = p.lanewise(VectorOperators.FMA, t, -1.28717512e-1f);
        p = p.fma(t, t.neg());
        FloatVector large = FloatVector.broadcast(Lanes.F, 1f).sub(exp(p));
        FloatVector q = s.fma(-5.96761703e-4f, 4.99119423e-3f);
        q = q.lanewise(VectorOperators.FMA, s, -2.67681349e-2f);
        q = q.lanewise(VectorOperators.FMA, s, 1.12819925e-1f);
        q = q.lanewise(VectorOperators.FMA, s, -3.76125336e-1f);
        q = q.lanewise(VectorOperators.FMA, s, 1.28379166e-1f);
        FloatVector small = q.fma(x, x);
        VectorMask<Float> negative = x.compare(VectorOperators.LT, 0f);
        return large.blend(large.neg(), negative).blend(small, t.compare(VectorOperators.LE, 0.927734375f));
    }

    /** 1 / (1 + e^-x), accurate in both tails. */
    static FloatVector sigmoid(FloatVector x) {
        FloatVector e = exp(x.abs().neg());
        FloatVector r = FloatVector.broadcast(Lanes.F, 1f).div(e.add(1f));
        return r.blend(r.mul(e), x.compare(VectorOperators.LT, 0f));
    }

    /** The derivative of {@link #sigmoid}, e^-|x| / (1 + e^-|x|)^2: no cancellation in the tails. */
    static FloatVector sigmoidSlope(FloatVector x) {
        FloatVector e = exp(x.abs().neg());
        FloatVector r = FloatVector.broadcast(Lanes.F, 1f).div(e.add(1f));
        return r.mul(r).mul(e);
    }
}

package obsprop.kernel.cpu;

import static obsprop.kernel.cpu.Lanes.BYTES;
import static obsprop.kernel.cpu.Lanes.F;
import static obsprop.kernel.cpu.Lanes.ORDER;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;

/**
 * exp, log, tanh, erf and the logistic function in fp32, to about 2 ulp, over strips of scratch memory that stay in the first
 * cache. Each is a few plain loops: a function of one vector would box it wherever C2 declines to inline, which depends
 * on what was compiled before. Loads and stores in them are the API's own: the helpers of {@link Lanes}, small as they are,
 * C2 stops inlining where a method has grown past some twenty operations. Strips are {@code bytes} long, a multiple of the
 * vector, from the start of their segments; {@code y} may be {@code x}, {@code e} is scratch of the same length.
 */
final class VectorMath {
    static final float LOG2_E = 1.44269504f;
    /** ln 2 in two parts: multiples of the first up to 2^8 are exact. */
    static final float LN2_HIGH = 0.693359375f;

    static final float LN2_LOW = -2.12194440e-4f;
    /** Adding 1.5 * 2^23 rounds to an integer, found in the low bits. */
    static final float ROUND = 0x1.8p23f;

    static final int ROUND_BITS = Float.floatToRawIntBits(ROUND);
    static final int ONE_BITS = 127;
    private static final int SQRT_HALF_BITS = Float.floatToRawIntBits(0.70710678f);

    private VectorMath() {}

    /**
     * {@code y = e^x}; 0 below -104 and infinity above 88.73, subnormals between. The strip may start anywhere. Two vectors
     * at a time, of which the last may be the same: twice the independent work, and too long a method to be inlined. What
     * gives 0, like masked scores, is set apart: on its way through subnormal numbers it would take many times as long.
     */
    static void exp(MemorySegment x, long xAt, MemorySegment y, long yAt, int bytes) {
        x = Lanes.plain(x);
        y = Lanes.plain(y);
        for (int i = 0; i < bytes; i += 2 * BYTES) {
            int j = Math.min(i + BYTES, bytes - BYTES);
            FloatVector v0 = FloatVector.fromMemorySegment(F, x, xAt + i, ORDER);
            FloatVector v1 = FloatVector.fromMemorySegment(F, x, xAt + j, ORDER);
            VectorMask<Float> nothing0 = v0.compare(VectorOperators.LT, -104f);
            FloatVector low0 = v0.blend(0f, nothing0);
            FloatVector bounded0 = low0.blend(89f, low0.compare(VectorOperators.GT, 89f));
            FloatVector rounded0 = bounded0.fma(LOG2_E, ROUND);
            FloatVector whole0 = rounded0.sub(ROUND);
            FloatVector r0 = whole0.lanewise(VectorOperators.FMA, -LN2_LOW,
                    whole0.lanewise(VectorOperators.FMA, -LN2_HIGH, bounded0));
            FloatVector p0 = r0.fma(1.9875691500e-4f, 1.3981999507e-3f);
            p0 = p0.lanewise(VectorOperators.FMA, r0, 8.3334519073e-3f);
            p0 = p0.lanewise(VectorOperators.FMA, r0, 4.1665795894e-2f);
            p0 = p0.lanewise(VectorOperators.FMA, r0, 1.6666665459e-1f);
            p0 = p0.lanewise(VectorOperators.FMA, r0, 5.0000001201e-1f);
            p0 = p0.fma(r0.mul(r0), r0).add(1f);
            // 2^n in two factors, as n may leave the exponents of normal numbers.
            IntVector n0 = rounded0.reinterpretAsInts().sub(ROUND_BITS);
            IntVector half0 = n0.lanewise(VectorOperators.ASHR, 1);
            IntVector rest0 = n0.sub(half0);
            p0 = p0.mul(half0.add(ONE_BITS).lanewise(VectorOperators.LSHL, 23).reinterpretAsFloats());
            p0 = p0.mul(rest0.add(ONE_BITS).lanewise(VectorOperators.LSHL, 23).reinterpretAsFloats());
            VectorMask<Float> nothing1 = v1.compare(VectorOperators.LT, -104f);
            FloatVector low1 = v1.blend(0f, nothing1);
            FloatVector bounded1 = low1.blend(89f, low1.compare(VectorOperators.GT, 89f));
            FloatVector rounded1 = bounded1.fma(LOG2_E, ROUND);
            FloatVector whole1 = rounded1.sub(ROUND);
            FloatVector r1 = whole1.lanewise(VectorOperators.FMA, -LN2_LOW,
                    whole1.lanewise(VectorOperators.FMA, -LN2_HIGH, bounded1));
            FloatVector p1 = r1.fma(1.9875691500e-4f, 1.3981999507e-3f);
            p1 = p1.lanewise(VectorOperators.FMA, r1, 8.3334519073e-3f);
            p1 = p1.lanewise(VectorOperators.FMA, r1, 4.1665795894e-2f);
            p1 = p1.lanewise(VectorOperators.FMA, r1, 1.6666665459e-1f);
            p1 = p1.lanewise(VectorOperators.FMA, r1, 5.0000001201e-1f);
            p1 = p1.fma(r1.mul(r1), r1).add(1f);
            IntVector n1 = rounded1.reinterpretAsInts().sub(ROUND_BITS);
            IntVector half1 = n1.lanewise(VectorOperators.ASHR, 1);
            IntVector rest1 = n1.sub(half1);
            p1 = p1.mul(half1.add(ONE_BITS).lanewise(VectorOperators.LSHL, 23).reinterpretAsFloats());
            p1 = p1.mul(rest1.add(ONE_BITS).lanewise(VectorOperators.LSHL, 23).reinterpretAsFloats());
            p0.blend(0f, nothing0).intoMemorySegment(y, yAt + i, ORDER);
            p1.blend(0f, nothing1).intoMemorySegment(y, yAt + j, ORDER);
        }
    }

    /** {@code y = ln x} of positive normal numbers, by the polynomial of Cephes' logf; NaN of what is infinite or NaN. */
    static void log(MemorySegment x, MemorySegment y, int bytes) {
        x = Lanes.plain(x);
        y = Lanes.plain(y);
        for (int i = 0; i < bytes; i += BYTES) {
            FloatVector v = FloatVector.fromMemorySegment(F, x, i, ORDER);
            IntVector bits = v.reinterpretAsInts();
            // x = 2^n (1 + f), where 1 + f lies between the square roots of 1/2 and 2.
            IntVector n = bits.sub(SQRT_HALF_BITS).lanewise(VectorOperators.ASHR, 23);
            FloatVector f = bits.sub(n.lanewise(VectorOperators.LSHL, 23)).reinterpretAsFloats().sub(1f);
            FloatVector exponent = n.add(ROUND_BITS).reinterpretAsFloats().sub(ROUND);
            FloatVector square = f.mul(f);
            FloatVector p = f.fma(7.0376836292e-2f, -1.1514610310e-1f);
            p = p.lanewise(VectorOperators.FMA, f, 1.1676998740e-1f);
            p = p.lanewise(VectorOperators.FMA, f, -1.2420140846e-1f);
            p = p.lanewise(VectorOperators.FMA, f, 1.4249322787e-1f);
            p = p.lanewise(VectorOperators.FMA, f, -1.6668057665e-1f);
            p = p.lanewise(VectorOperators.FMA, f, 2.0000714765e-1f);
            p = p.lanewise(VectorOperators.FMA, f, -2.4999993993e-1f);
            p = p.lanewise(VectorOperators.FMA, f, 3.3333331174e-1f);
            FloatVector rest = p.mul(f).fma(square, exponent.mul(LN2_LOW)).sub(square.mul(0.5f)).add(v.sub(v));
            f.add(rest).add(exponent.mul(LN2_HIGH)).intoMemorySegment(y, i, ORDER);
        }
    }

    /** {@code e = e^-|x|}: 1 at most, so that nothing overflows. */
    static void expOfMinusSize(MemorySegment x, MemorySegment e, int bytes) {
        x = Lanes.plain(x);
        e = Lanes.plain(e);
        for (int i = 0; i < bytes; i += BYTES) {
            FloatVector.fromMemorySegment(F, x, i, ORDER).abs().neg().intoMemorySegment(e, i, ORDER);
        }
        exp(e, 0, e, 0, bytes);
    }

    static void tanh(MemorySegment x, MemorySegment y, MemorySegment e, int bytes) {
        x = Lanes.plain(x);
        y = Lanes.plain(y);
        e = Lanes.plain(e);
        for (int i = 0; i < bytes; i += BYTES) {
            FloatVector size = FloatVector.fromMemorySegment(F, x, i, ORDER).abs();
            size.add(size).intoMemorySegment(e, i, ORDER);
        }
        exp(e, 0, e, 0, bytes);
        for (int i = 0; i < bytes; i += BYTES) {
            FloatVector v = FloatVector.fromMemorySegment(F, x, i, ORDER);
            FloatVector z = v.mul(v);
            FloatVector p = z.fma(-5.70498872745e-3f, 2.06390887954e-2f);
            p = p.lanewise(VectorOperators.FMA, z, -5.37397155531e-2f);
            p = p.lanewise(VectorOperators.FMA, z, 1.33314422036e-1f);
            p = p.lanewise(VectorOperators.FMA, z, -3.33332819422e-1f);
            FloatVector small = p.mul(z).fma(v, v);
            FloatVector large = FloatVector.broadcast(F, 1f)
                    .sub(FloatVector.broadcast(F, 2f).div(FloatVector.fromMemorySegment(F, e, i, ORDER).add(1f)));
            VectorMask<Float> negative = v.compare(VectorOperators.LT, 0f);
            VectorMask<Float> near = v.abs().compare(VectorOperators.LT, 0.625f);
            large.blend(large.neg(), negative).blend(small, near).intoMemorySegment(y, i, ORDER);
        }
    }

    static void erf(MemorySegment x, MemorySegment y, MemorySegment e, int bytes) {
        x = Lanes.plain(x);
        y = Lanes.plain(y);
        e = Lanes.plain(e);
        for (int i = 0; i < bytes; i += BYTES) {
            FloatVector v = FloatVector.fromMemorySegment(F, x, i, ORDER);
            FloatVector t = v.abs();
            FloatVector s = v.mul(v);
            FloatVector p = t.fma(-1.72853470e-5f, 3.83197126e-4f);
            p = p.fma(s, t.fma(-3.88396438e-3f, 2.42546219e-2f));
            p = p.lanewise(VectorOperators.FMA, t, -1.06777877e-1f);
            p = p.lanewise(VectorOperators.FMA, t, -6.34846687e-1f);
            p = p.lanewise(VectorOperators.FMA, t, -1.28717512e-1f);
            p.fma(t, t.neg()).intoMemorySegment(e, i, ORDER);
        }
        exp(e, 0, e, 0, bytes);
        for (int i = 0; i < bytes; i += BYTES) {
            FloatVector v = FloatVector.fromMemorySegment(F, x, i, ORDER);
            FloatVector s = v.mul(v);
            FloatVector q = s.fma(-5.96761703e-4f, 4.99119423e-3f);
            q = q.lanewise(VectorOperators.FMA, s, -2.67681349e-2f);
            q = q.lanewise(VectorOperators.FMA, s, 1.12819925e-1f);
            q = q.lanewise(VectorOperators.FMA, s, -3.76125336e-1f);
            q = q.lanewise(VectorOperators.FMA, s, 1.28379166e-1f);
            FloatVector small = q.fma(v, v);
            FloatVector large = FloatVector.broadcast(F, 1f).sub(FloatVector.fromMemorySegment(F, e, i, ORDER));
            VectorMask<Float> negative = v.compare(VectorOperators.LT, 0f);
            VectorMask<Float> near = v.abs().compare(VectorOperators.LE, 0.927734375f);
            large.blend(large.neg(), negative).blend(small, near).intoMemorySegment(y, i, ORDER);
        }
    }

    /** {@code 1 / (1 + e^-x)}, accurate in both tails. */
    static void sigmoid(MemorySegment x, MemorySegment y, MemorySegment e, int bytes) {
        x = Lanes.plain(x);
        y = Lanes.plain(y);
        e = Lanes.plain(e);
        expOfMinusSize(x, e, bytes);
        for (int i = 0; i < bytes; i += BYTES) {
            FloatVector ev = FloatVector.fromMemorySegment(F, e, i, ORDER);
            FloatVector r = FloatVector.broadcast(F, 1f).div(ev.add(1f));
            VectorMask<Float> negative = FloatVector.fromMemorySegment(F, x, i, ORDER).compare(VectorOperators.LT, 0f);
            r.blend(r.mul(ev), negative).intoMemorySegment(y, i, ORDER);
        }
    }

    /** The derivative of {@link #sigmoid}, {@code e^-|x| / (1 + e^-|x|)^2}: no cancellation in the tails. */
    static void sigmoidSlope(MemorySegment x, MemorySegment y, MemorySegment e, int bytes) {
        x = Lanes.plain(x);
        y = Lanes.plain(y);
        e = Lanes.plain(e);
        expOfMinusSize(x, e, bytes);
        for (int i = 0; i < bytes; i += BYTES) {
            FloatVector ev = FloatVector.fromMemorySegment(F, e, i, ORDER);
            FloatVector r = FloatVector.broadcast(F, 1f).div(ev.add(1f));
            r.mul(r).mul(ev).intoMemorySegment(y, i, ORDER);
        }
    }
}

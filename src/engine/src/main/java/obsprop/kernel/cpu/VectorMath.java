package obsprop.kernel.cpu;

import static obsprop.kernel.cpu.Lanes.BYTES;
import static obsprop.kernel.cpu.Lanes.load;
import static obsprop.kernel.cpu.Lanes.store;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;

/**
 * exp, tanh, erf and the logistic function in fp32, to about 2 ulp, over strips of scratch memory that stay in the first
 * cache. Each is a few plain loops: a function of one vector would box it wherever C2 declines to inline, which depends
 * on what was compiled before. Strips are {@code bytes} long, a multiple of the vector, from the start of their segments;
 * {@code y} may be {@code x}, {@code e} is scratch of the same length.
 */
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

    /** {@code y = e^x}; 0 below -104 and infinity above 88.73, subnormals between. The strip may start anywhere. */
    static void exp(MemorySegment x, long xAt, MemorySegment y, long yAt, long bytes) {
        for (long i = 0; i < bytes; i += BYTES) {
            FloatVector v = load(x, xAt + i);
            FloatVector low = v.blend(-104f, v.compare(VectorOperators.LT, -104f));
            FloatVector bounded = low.blend(89f, low.compare(VectorOperators.GT, 89f));
            FloatVector rounded = bounded.fma(LOG2_E, ROUND);
            FloatVector whole = rounded.sub(ROUND);
            FloatVector r = whole.lanewise(VectorOperators.FMA, -LN2_LOW,
                    whole.lanewise(VectorOperators.FMA, -LN2_HIGH, bounded));
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
            p = p.mul(rest.add(ONE_BITS).lanewise(VectorOperators.LSHL, 23).reinterpretAsFloats());
            store(p, y, yAt + i);
        }
    }

    /** {@code e = e^-|x|}: 1 at most, so that nothing overflows. */
    static void expOfMinusSize(MemorySegment x, MemorySegment e, long bytes) {
        for (long i = 0; i < bytes; i += BYTES) {
            store(load(x, i).abs().neg(), e, i);
        }
        exp(e, 0, e, 0, bytes);
    }

    static void tanh(MemorySegment x, MemorySegment y, MemorySegment e, long bytes) {
        for (long i = 0; i < bytes; i += BYTES) {
            FloatVector size = load(x, i).abs();
            store(size.add(size), e, i);
        }
        exp(e, 0, e, 0, bytes);
        for (long i = 0; i < bytes; i += BYTES) {
            FloatVector v = load(x, i);
            FloatVector z = v.mul(v);
            FloatVector p = z.fma(-5.70498872745e-3f, 2.06390887954e-2f);
            p = p.lanewise(VectorOperators.FMA, z, -5.37397155531e-2f);
            p = p.lanewise(VectorOperators.FMA, z, 1.33314422036e-1f);
            p = p.lanewise(VectorOperators.FMA, z, -3.33332819422e-1f);
            FloatVector small = p.mul(z).fma(v, v);
            FloatVector large = FloatVector.broadcast(Lanes.F, 1f)
                    .sub(FloatVector.broadcast(Lanes.F, 2f).div(load(e, i).add(1f)));
            VectorMask<Float> negative = v.compare(VectorOperators.LT, 0f);
            store(large.blend(large.neg(), negative).blend(small, v.abs().compare(VectorOperators.LT, 0.625f)), y, i);
        }
    }

    static void erf(MemorySegment x, MemorySegment y, MemorySegment e, long bytes) {
        for (long i = 0; i < bytes; i += BYTES) {
            FloatVector v = load(x, i);
            FloatVector t = v.abs();
            FloatVector s = v.mul(v);
            FloatVector p = t.fma(-1.72853470e-5f, 3.83197126e-4f);
            p = p.fma(s, t.fma(-3.88396438e-3f, 2.42546219e-2f));
            p = p.lanewise(VectorOperators.FMA, t, -1.06777877e-1f);
            p = p.lanewise(VectorOperators.FMA, t, -6.34846687e-1f);
            p = p.lanewise(VectorOperators.FMA, t, -1.28717512e-1f);
            store(p.fma(t, t.neg()), e, i);
        }
        exp(e, 0, e, 0, bytes);
        for (long i = 0; i < bytes; i += BYTES) {
            FloatVector v = load(x, i);
            FloatVector s = v.mul(v);
            FloatVector q = s.fma(-5.96761703e-4f, 4.99119423e-3f);
            q = q.lanewise(VectorOperators.FMA, s, -2.67681349e-2f);
            q = q.lanewise(VectorOperators.FMA, s, 1.12819925e-1f);
            q = q.lanewise(VectorOperators.FMA, s, -3.76125336e-1f);
            q = q.lanewise(VectorOperators.FMA, s, 1.28379166e-1f);
            FloatVector small = q.fma(v, v);
            FloatVector large = FloatVector.broadcast(Lanes.F, 1f).sub(load(e, i));
            VectorMask<Float> negative = v.compare(VectorOperators.LT, 0f);
            VectorMask<Float> near = v.abs().compare(VectorOperators.LE, 0.927734375f);
            store(large.blend(large.neg(), negative).blend(small, near), y, i);
        }
    }

    /** {@code 1 / (1 + e^-x)}, accurate in both tails. */
    static void sigmoid(MemorySegment x, MemorySegment y, MemorySegment e, long bytes) {
        expOfMinusSize(x, e, bytes);
        for (long i = 0; i < bytes; i += BYTES) {
            FloatVector ev = load(e, i);
            FloatVector r = FloatVector.broadcast(Lanes.F, 1f).div(ev.add(1f));
            store(r.blend(r.mul(ev), load(x, i).compare(VectorOperators.LT, 0f)), y, i);
        }
    }

    /** The derivative of {@link #sigmoid}, {@code e^-|x| / (1 + e^-|x|)^2}: no cancellation in the tails. */
    static void sigmoidSlope(MemorySegment x, MemorySegment y, MemorySegment e, long bytes) {
        expOfMinusSize(x, e, bytes);
        for (long i = 0; i < bytes; i += BYTES) {
            FloatVector ev = load(e, i);
            FloatVector r = FloatVector.broadcast(Lanes.F, 1f).div(ev.add(1f));
            store(r.mul(r).mul(ev), y, i);
        }
    }
}

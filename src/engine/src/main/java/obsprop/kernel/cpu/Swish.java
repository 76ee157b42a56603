package obsprop.kernel.cpu;

import static obsprop.kernel.cpu.Lanes.BYTES;
import static obsprop.kernel.cpu.Lanes.F;
import static obsprop.kernel.cpu.Lanes.ORDER;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/**
 * {@code f(x) = x s(u)} and f' for the logistic function s and {@code u = (linear + cubic x^2) x}: GELU_TANH, QUICK_GELU and
 * SILU, without cancellation for large negative x. With {@code e = e^-|u|}, s is 1 / (1 + e), or e / (1 + e) for negative x.
 *
 * <p>Each is one loop with the exponential of {@link VectorMath#exp} written out, as no vector may cross a method. The
 * methods are too long (325 bytes) to be inlined into others, in which C2 might run out of nodes and box.
 */
final class Swish {
    private Swish() {}

    /** {@code y = f(x)}. */
    static void value(float linear, float cubic, MemorySegment x, MemorySegment y, int bytes) {
        x = Lanes.plain(x);
        y = Lanes.plain(y);
        for (int i = 0; i < bytes; i += BYTES) {
            FloatVector v = FloatVector.fromMemorySegment(F, x, i, ORDER);
            FloatVector size = v.mul(v).fma(cubic, linear).mul(v).abs().neg();
            // Written so that what is not a number, like infinity squared times zero, gives e = 0.
            FloatVector bounded = FloatVector.broadcast(F, -104f).blend(size, size.compare(VectorOperators.GE, -104f));
            FloatVector rounded = bounded.fma(VectorMath.LOG2_E, VectorMath.ROUND);
            FloatVector whole = rounded.sub(VectorMath.ROUND);
            FloatVector r = whole.lanewise(VectorOperators.FMA, -VectorMath.LN2_LOW,
                    whole.lanewise(VectorOperators.FMA, -VectorMath.LN2_HIGH, bounded));
            FloatVector p = r.fma(1.9875691500e-4f, 1.3981999507e-3f);
            p = p.lanewise(VectorOperators.FMA, r, 8.3334519073e-3f);
            p = p.lanewise(VectorOperators.FMA, r, 4.1665795894e-2f);
            p = p.lanewise(VectorOperators.FMA, r, 1.6666665459e-1f);
            p = p.lanewise(VectorOperators.FMA, r, 5.0000001201e-1f);
            p = p.fma(r.mul(r), r).add(1f);
            IntVector n = rounded.reinterpretAsInts().sub(VectorMath.ROUND_BITS);
            IntVector half = n.lanewise(VectorOperators.ASHR, 1);
            IntVector rest = n.sub(half);
            p = p.mul(half.add(VectorMath.ONE_BITS).lanewise(VectorOperators.LSHL, 23).reinterpretAsFloats());
            FloatVector e = p.mul(rest.add(VectorMath.ONE_BITS).lanewise(VectorOperators.LSHL, 23).reinterpretAsFloats());
            FloatVector upper = v.blend(v.mul(e), v.compare(VectorOperators.LT, 0f));
            upper.div(e.add(1f)).intoMemorySegment(y, i, ORDER);
        }
    }

    /** {@code y = f'(x) = s(u) + x s'(u) u'}. */
    static void slope(float linear, float cubic, MemorySegment x, MemorySegment y, int bytes) {
        x = Lanes.plain(x);
        y = Lanes.plain(y);
        for (int i = 0; i < bytes; i += BYTES) {
            FloatVector v = FloatVector.fromMemorySegment(F, x, i, ORDER);
            FloatVector square = v.mul(v);
            FloatVector size = square.fma(cubic, linear).mul(v).abs().neg();
            FloatVector bounded = FloatVector.broadcast(F, -104f).blend(size, size.compare(VectorOperators.GE, -104f));
            FloatVector rounded = bounded.fma(VectorMath.LOG2_E, VectorMath.ROUND);
            FloatVector whole = rounded.sub(VectorMath.ROUND);
            FloatVector r = whole.lanewise(VectorOperators.FMA, -VectorMath.LN2_LOW,
                    whole.lanewise(VectorOperators.FMA, -VectorMath.LN2_HIGH, bounded));
            FloatVector p = r.fma(1.9875691500e-4f, 1.3981999507e-3f);
            p = p.lanewise(VectorOperators.FMA, r, 8.3334519073e-3f);
            p = p.lanewise(VectorOperators.FMA, r, 4.1665795894e-2f);
            p = p.lanewise(VectorOperators.FMA, r, 1.6666665459e-1f);
            p = p.lanewise(VectorOperators.FMA, r, 5.0000001201e-1f);
            p = p.fma(r.mul(r), r).add(1f);
            IntVector n = rounded.reinterpretAsInts().sub(VectorMath.ROUND_BITS);
            IntVector half = n.lanewise(VectorOperators.ASHR, 1);
            IntVector rest = n.sub(half);
            p = p.mul(half.add(VectorMath.ONE_BITS).lanewise(VectorOperators.LSHL, 23).reinterpretAsFloats());
            FloatVector e = p.mul(rest.add(VectorMath.ONE_BITS).lanewise(VectorOperators.LSHL, 23).reinterpretAsFloats());
            FloatVector upper = FloatVector.broadcast(F, 1f).div(e.add(1f));
            FloatVector lower = upper.mul(e);
            FloatVector mass = upper.blend(lower, v.compare(VectorOperators.LT, 0f));
            // e underflows before the cubic factor overflows: keep 0 * inf out.
            FloatVector factor = square.fma(3 * cubic, linear).mul(v).blend(0f, e.compare(VectorOperators.EQ, 0f));
            lower.mul(upper).fma(factor, mass).intoMemorySegment(y, i, ORDER);
        }
    }
}

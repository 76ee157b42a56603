package obsprop.kernel.cpu;

import static obsprop.kernel.cpu.Lanes.load;
import static obsprop.kernel.cpu.Lanes.store;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;

/** Rows of attention scores in scratch memory; n is a multiple of the vector, masked scores are -infinity; {@code lanes} is room for one vector. */
final class Softmax {
    private Softmax() {}

    /** Sets n floats to {@code value}. */
    static void fill(MemorySegment row, long at, int n, float value) {
        for (int i = 0; i < n; i++) {
            Lanes.set(row, at + 4L * i, value);
        }
    }

    /** Scores to probabilities; returns log of the sum of exp(score). */
    static double normalise(MemorySegment row, long at, int n, MemorySegment lanes) {
        FloatVector highest = load(row, at);
        for (int i = Lanes.N; i < n; i += Lanes.N) {
            highest = highest.max(load(row, at + 4L * i));
        }
        float top = highest.reduceLanes(VectorOperators.MAX);
        return top + Math.log(expMinus(row, at, n, top, lanes));
    }

    /**
     * {@code row = exp(row - shift)}, divided by its sum, which is returned: where the shift is a rounded log of the sum, the row would
     * not add up to 1, and in a VJP large cotangents would not cancel.
     */
    static float expMinus(MemorySegment row, long at, int n, float shift, MemorySegment lanes) {
        for (int i = 0; i < n; i += Lanes.N) {
            store(load(row, at + 4L * i).sub(shift), row, at + 4L * i);
        }
        VectorMath.exp(row, at, row, at, 4 * n);
        FloatVector total = FloatVector.zero(Lanes.F);
        for (int i = 0; i < n; i += Lanes.N) {
            total = total.add(load(row, at + 4L * i));
        }
        store(total, lanes, 0);
        float sum = Lanes.sum(lanes, 0);
        Copies.scaleRow(1 / sum, row, at, row, at, n);
        return sum;
    }

    /** {@code factors = scale * (1 - (s / cap)^2)}, the slope of the capped score; scale alone where s is masked. */
    static void capSlopes(MemorySegment scores, MemorySegment factors, int n, float scale, float cap) {
        FloatVector one = FloatVector.broadcast(Lanes.F, 1f);
        for (int i = 0; i < n; i += Lanes.N) {
            FloatVector s = load(scores, 4L * i);
            FloatVector u = s.blend(0f, s.compare(VectorOperators.EQ, Float.NEGATIVE_INFINITY)).div(cap);
            store(one.sub(u.mul(u)).mul(scale), factors, 4L * i);
        }
    }

    /** {@code ds = factors * A * (dA - sum A dA)} in place of dA, for a row at the same offset of all three. */
    static void vjp(
            MemorySegment weights, MemorySegment factors, MemorySegment ds, long at, int n, MemorySegment lanes) {
        FloatVector total = FloatVector.zero(Lanes.F);
        for (int i = 0; i < n; i += Lanes.N) {
            total = load(weights, at + 4L * i).fma(load(ds, at + 4L * i), total);
        }
        store(total, lanes, 0);
        float mean = Lanes.sum(lanes, 0);
        for (int i = 0; i < n; i += Lanes.N) {
            long o = at + 4L * i;
            store(load(ds, o).sub(mean).mul(load(weights, o)).mul(load(factors, o)), ds, o);
        }
    }
}

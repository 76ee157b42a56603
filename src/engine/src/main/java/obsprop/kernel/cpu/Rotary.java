package obsprop.kernel.cpu;

import static obsprop.kernel.cpu.Lanes.load;
import static obsprop.kernel.cpu.Lanes.store;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import obsprop.kernel.RotaryStyle;
import obsprop.tensor.Tensor;

/** Rotation of coordinate pairs, in place; sign is -1 to rotate back. */
final class Rotary {
    private Rotary() {}

    /** See {@link obsprop.kernel.Kernels#rotate}; the tables are F32. */
    static void run(Tensor x, int[] positions, Tensor cos, Tensor sin, RotaryStyle style, float sign) {
        int m = cos.size(1);
        for (int r = 0; r < x.size(0); r++) {
            int position = positions[r % positions.length];
            long cosAt = 4 * position * cos.stride(0);
            long sinAt = 4 * position * sin.stride(0);
            for (int h = 0; h < x.size(1); h++) {
                long at = 4 * (r * x.stride(0) + h * x.stride(1));
                if (style == RotaryStyle.HALF_SPLIT) {
                    halves(x.segment(), at, cos.segment(), cosAt, sin.segment(), sinAt, m, sign);
                } else {
                    pairs(x.segment(), at, 8, 4, cos.segment(), cosAt, sin.segment(), sinAt, 0, m, sign);
                }
            }
        }
    }

    private static void halves(
            MemorySegment x, long at, MemorySegment cos, long cosAt, MemorySegment sin, long sinAt, int m, float sign) {
        int whole = Lanes.whole(m);
        for (int i = 0; i < whole; i += Lanes.N) {
            long o = 4L * i;
            FloatVector a = load(x, at + o);
            FloatVector b = load(x, at + o + 4L * m);
            FloatVector c = load(cos, cosAt + o);
            FloatVector s = load(sin, sinAt + o).mul(sign);
            store(a.mul(c).sub(b.mul(s)), x, at + o);
            store(a.mul(s).add(b.mul(c)), x, at + o + 4L * m);
        }
        pairs(x, at, 4, 4L * m, cos, cosAt, sin, sinAt, whole, m, sign);
    }

    /** Pairs first to m - 1: pair i lies at {@code at + i*step} and {@code distance} further. */
    private static void pairs(
            MemorySegment x, long at, long step, long distance, MemorySegment cos, long cosAt, MemorySegment sin,
            long sinAt, int first, int m, float sign) {
        for (int i = first; i < m; i++) {
            long o = at + i * step;
            float a = Lanes.get(x, o);
            float b = Lanes.get(x, o + distance);
            float c = Lanes.get(cos, cosAt + 4L * i);
            float s = Lanes.get(sin, sinAt + 4L * i) * sign;
            Lanes.set(x, o, a * c - b * s);
            Lanes.set(x, o + distance, a * s + b * c);
        }
    }
}

package obsprop.kernel.cpu;

import static obsprop.kernel.cpu.Lanes.BYTES;
import static obsprop.kernel.cpu.Lanes.F;
import static obsprop.kernel.cpu.Lanes.N;
import static obsprop.kernel.cpu.Lanes.load;
import static obsprop.kernel.cpu.Lanes.store;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorShuffle;

/** Puts even and odd elements together again that widening BF16 by pairs parted. */
final class Pairs {
    private static final VectorShuffle<Float> LOW = VectorShuffle.fromOp(F, lane -> lane / 2);
    private static final VectorShuffle<Float> HIGH = VectorShuffle.fromOp(F, lane -> N / 2 + lane / 2);
    private static final VectorMask<Float> ODD = VectorMask.fromLong(F, 0xAAAAAAAAAAAAAAAAL);

    private Pairs() {}

    /** Every 2N of n floats are first the even ones, then the odd ones; they get into order, in place. */
    static void join(MemorySegment v, int n) {
        for (int i = 0; i < n; i += 2 * N) {
            long o = 4L * i;
            FloatVector even = load(v, o);
            FloatVector odd = load(v, o + BYTES);
            store(even.rearrange(LOW).blend(odd.rearrange(LOW), ODD), v, o);
            store(even.rearrange(HIGH).blend(odd.rearrange(HIGH), ODD), v, o + BYTES);
        }
    }
}

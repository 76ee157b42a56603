package obsprop.kernel.cpu;

import static obsprop.kernel.cpu.Lanes.BYTES;
import static obsprop.kernel.cpu.Lanes.F;
import static obsprop.kernel.cpu.Lanes.N;
import static obsprop.kernel.cpu.Lanes.ORDER;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorShuffle;

/** Puts even and odd elements together again that tiles have parted. */
final class Pairs {
    private static final VectorShuffle<Float> LOW = VectorShuffle.fromOp(F, lane -> lane / 2);
    private static final VectorShuffle<Float> HIGH = VectorShuffle.fromOp(F, lane -> N / 2 + lane / 2);
    private static final VectorShuffle<Float> EVEN = VectorShuffle.fromOp(F, lane -> 2 * lane % N);
    private static final VectorShuffle<Float> NEIGHBOUR = VectorShuffle.fromOp(F, lane -> lane ^ 1);
    private static final VectorMask<Float> ODD = VectorMask.fromLong(F, 0xAAAAAAAAAAAAAAAAL);

    private Pairs() {}

    /** {@code C (+)= tile} for a tile of {@code columns}, a multiple of 2N, that has of every 2N first the even ones. */
    static void write(MemorySegment tile, int rows, int columns, MemorySegment c, long cAt, long cRow, boolean add) {
        tile = Lanes.plain(tile);
        c = Lanes.plain(c);
        int inRow = columns / (2 * N);
        for (int i = 0; i < inRow * rows; i++) {
            FloatVector even = FloatVector.fromMemorySegment(F, tile, 2L * BYTES * i, ORDER);
            FloatVector odd = FloatVector.fromMemorySegment(F, tile, 2L * BYTES * i + BYTES, ORDER);
            FloatVector low = even.rearrange(LOW).blend(odd.rearrange(LOW), ODD);
            FloatVector high = even.rearrange(HIGH).blend(odd.rearrange(HIGH), ODD);
            long at = cAt + i / inRow * cRow + 2L * BYTES * (i % inRow);
            if (add) {
                low = low.add(FloatVector.fromMemorySegment(F, c, at, ORDER));
                high = high.add(FloatVector.fromMemorySegment(F, c, at + BYTES, ORDER));
            }
            low.intoMemorySegment(c, at, ORDER);
            high.intoMemorySegment(c, at + BYTES, ORDER);
        }
    }

    /** {@code C (+)= sums} for one row that has of every 2N columns first the even ones; {@code cols} is a multiple of 2N. */
    static void writeRow(MemorySegment sums, long sumsAt, int cols, MemorySegment c, long cAt, boolean add) {
        sums = Lanes.plain(sums);
        c = Lanes.plain(c);
        for (int x = 0; x < cols; x += 2 * N) {
            FloatVector even = FloatVector.fromMemorySegment(F, sums, sumsAt + 4L * x, ORDER);
            FloatVector odd = FloatVector.fromMemorySegment(F, sums, sumsAt + 4L * x + BYTES, ORDER);
            FloatVector low = even.rearrange(LOW).blend(odd.rearrange(LOW), ODD);
            FloatVector high = even.rearrange(HIGH).blend(odd.rearrange(HIGH), ODD);
            if (add) {
                low = low.add(FloatVector.fromMemorySegment(F, c, cAt + 4L * x, ORDER));
                high = high.add(FloatVector.fromMemorySegment(F, c, cAt + 4L * x + BYTES, ORDER));
            }
            low.intoMemorySegment(c, cAt + 4L * x, ORDER);
            high.intoMemorySegment(c, cAt + 4L * x + BYTES, ORDER);
        }
    }

    /** Each element of n vectors twice, side by side: of each first the lower half of its elements, then the upper. */
    static void twice(MemorySegment from, int n, MemorySegment to, long at) {
        from = Lanes.plain(from);
        to = Lanes.plain(to);
        for (int i = 0; i < n; i++) {
            FloatVector v = FloatVector.fromMemorySegment(F, from, (long) BYTES * i, ORDER);
            v.rearrange(LOW).intoMemorySegment(to, at + 2L * BYTES * i, ORDER);
            v.rearrange(HIGH).intoMemorySegment(to, at + 2L * BYTES * i + BYTES, ORDER);
        }
    }

    /**
     * Of four columns each, {@code sums} have two vectors with pairs of the first and the third, then two with pairs of the second and the
     * fourth; afterwards the pairs are of the first two and of the last two.
     */
    static void regroup(MemorySegment sums, long at, int fours) {
        sums = Lanes.plain(sums);
        for (int i = 0; i < 2 * fours; i++) {
            long to = at + 4L * BYTES * (i >> 1) + BYTES * (i & 1);
            FloatVector low = FloatVector.fromMemorySegment(F, sums, to, ORDER);
            FloatVector high = FloatVector.fromMemorySegment(F, sums, to + 2L * BYTES, ORDER);
            low.blend(high.rearrange(NEIGHBOUR), ODD).intoMemorySegment(sums, to, ORDER);
            low.rearrange(NEIGHBOUR).blend(high, ODD).intoMemorySegment(sums, to + 2L * BYTES, ORDER);
        }
    }

    /**
     * Adds sums over odd k to those over even k, as {@link PairTiles} part them: the vector at {@code at + row i} {@code (+)=} the
     * {@link Lanes#N} sums in vectors {@code 2 i} and {@code 2 i + 1} of a tile, for i below {@code vectors}.
     */
    static void sum(MemorySegment tile, int vectors, MemorySegment to, long at, long row, boolean add) {
        tile = Lanes.plain(tile);
        to = Lanes.plain(to);
        for (int i = 0; i < vectors; i++) {
            FloatVector even = FloatVector.fromMemorySegment(F, tile, 2L * BYTES * i, ORDER);
            FloatVector odd = FloatVector.fromMemorySegment(F, tile, 2L * BYTES * i + BYTES, ORDER);
            FloatVector sums = even.blend(odd.rearrange(NEIGHBOUR), ODD).add(even.rearrange(NEIGHBOUR).blend(odd, ODD));
            if (add) {
                sums = sums.add(FloatVector.fromMemorySegment(F, to, at + row * i, ORDER));
            }
            sums.intoMemorySegment(to, at + row * i, ORDER);
        }
    }

    /** The same for vectors {@code i} of a tile that have the sums of {@link Lanes#N} / 2 tokens. What follows those is arbitrary. */
    static void sumHalf(MemorySegment tile, int vectors, MemorySegment to, long at, long row, boolean add) {
        tile = Lanes.plain(tile);
        to = Lanes.plain(to);
        for (int i = 0; i < vectors; i++) {
            FloatVector v = FloatVector.fromMemorySegment(F, tile, (long) BYTES * i, ORDER);
            FloatVector sums = v.add(v.rearrange(NEIGHBOUR)).rearrange(EVEN);
            if (add) {
                sums = sums.add(FloatVector.fromMemorySegment(F, to, at + row * i, ORDER));
            }
            sums.intoMemorySegment(to, at + row * i, ORDER);
        }
    }
}

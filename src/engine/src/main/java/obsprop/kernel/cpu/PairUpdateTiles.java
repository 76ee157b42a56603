package obsprop.kernel.cpu;

import static obsprop.kernel.cpu.Lanes.BYTES;
import static obsprop.kernel.cpu.Lanes.F;
import static obsprop.kernel.cpu.Lanes.ORDER;
import static obsprop.kernel.cpu.PairTiles.L;
import static obsprop.kernel.cpu.PairTiles.LONG;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.LongVector;
import jdk.incubator.vector.VectorOperators;

/**
 * The inner loops of {@link PairUpdates}. They run along rows of W: two neighbouring weights are loaded and broadcast at once and meet two
 * vectors of coefficients, each token's twice, that stay in registers. So a load serves two multiply-adds, W is read once for all tokens, and
 * sums are read and written once for all rows; their even lanes belong to the first of the two columns.
 *
 * <p>Each is one method, as a vector that crosses a call is boxed; all offsets and strides count bytes.
 */
final class PairUpdateTiles {
    /**
     * Rows of W in an update: two vectors of coefficients and an address each. There are registers for eight, but on Zen 5 and on Intel
     * seven are faster: eight sums in a row wait too long for each other.
     */
    static final int ROWS = Tiles.WIDE ? 7 : 4;
    /** Of two BF16 in each int of a long, the upper ones. */
    private static final long HIGH = 0xFFFF0000FFFF0000L;

    private PairUpdateTiles() {}

    /**
     * {@code sums[c, t] += sum over r of d[t, r] w[r, c]} for {@link Lanes#N} tokens, in the order of r.
     *
     * @param d [ROWS][2 vectors]: coefficients, each twice
     * @param pairs pairs of columns
     * @param sums [pairs][2 vectors]
     */
    static void update(
            MemorySegment w, long wAt, long wRow, MemorySegment d, long dAt, int pairs, MemorySegment sums, long at) {
        if (Tiles.WIDE) {
            update7(w, wAt, wRow, d, dAt, pairs, sums, at);
        } else {
            update4(w, wAt, wRow, d, dAt, pairs, sums, at);
        }
    }

    private static void update7(
            MemorySegment w, long wAt, long wRow, MemorySegment d, long dAt, int pairs, MemorySegment sums, long at) {
        w = Lanes.plain(w);
        d = Lanes.plain(d);
        sums = Lanes.plain(sums);
        long w0 = wAt;
        long w1 = wAt + wRow;
        long w2 = wAt + 2 * wRow;
        long w3 = wAt + 3 * wRow;
        long w4 = wAt + 4 * wRow;
        long w5 = wAt + 5 * wRow;
        long w6 = wAt + 6 * wRow;
        FloatVector d00 = FloatVector.fromMemorySegment(F, d, dAt, ORDER);
        FloatVector d01 = FloatVector.fromMemorySegment(F, d, dAt + BYTES, ORDER);
        FloatVector d10 = FloatVector.fromMemorySegment(F, d, dAt + 2 * BYTES, ORDER);
        FloatVector d11 = FloatVector.fromMemorySegment(F, d, dAt + 3 * BYTES, ORDER);
        FloatVector d20 = FloatVector.fromMemorySegment(F, d, dAt + 4 * BYTES, ORDER);
        FloatVector d21 = FloatVector.fromMemorySegment(F, d, dAt + 5 * BYTES, ORDER);
        FloatVector d30 = FloatVector.fromMemorySegment(F, d, dAt + 6 * BYTES, ORDER);
        FloatVector d31 = FloatVector.fromMemorySegment(F, d, dAt + 7 * BYTES, ORDER);
        FloatVector d40 = FloatVector.fromMemorySegment(F, d, dAt + 8 * BYTES, ORDER);
        FloatVector d41 = FloatVector.fromMemorySegment(F, d, dAt + 9 * BYTES, ORDER);
        FloatVector d50 = FloatVector.fromMemorySegment(F, d, dAt + 10 * BYTES, ORDER);
        FloatVector d51 = FloatVector.fromMemorySegment(F, d, dAt + 11 * BYTES, ORDER);
        FloatVector d60 = FloatVector.fromMemorySegment(F, d, dAt + 12 * BYTES, ORDER);
        FloatVector d61 = FloatVector.fromMemorySegment(F, d, dAt + 13 * BYTES, ORDER);
        for (int i = 0; i < pairs; i++) {
            long to = at + 2L * BYTES * i;
            FloatVector s0 = FloatVector.fromMemorySegment(F, sums, to, ORDER);
            FloatVector s1 = FloatVector.fromMemorySegment(F, sums, to + BYTES, ORDER);
            FloatVector v = LongVector.broadcast(L, w.get(LONG, w0 + 8L * i)).reinterpretAsFloats();
            s0 = v.fma(d00, s0);
            s1 = v.fma(d01, s1);
            v = LongVector.broadcast(L, w.get(LONG, w1 + 8L * i)).reinterpretAsFloats();
            s0 = v.fma(d10, s0);
            s1 = v.fma(d11, s1);
            v = LongVector.broadcast(L, w.get(LONG, w2 + 8L * i)).reinterpretAsFloats();
            s0 = v.fma(d20, s0);
            s1 = v.fma(d21, s1);
            v = LongVector.broadcast(L, w.get(LONG, w3 + 8L * i)).reinterpretAsFloats();
            s0 = v.fma(d30, s0);
            s1 = v.fma(d31, s1);
            v = LongVector.broadcast(L, w.get(LONG, w4 + 8L * i)).reinterpretAsFloats();
            s0 = v.fma(d40, s0);
            s1 = v.fma(d41, s1);
            v = LongVector.broadcast(L, w.get(LONG, w5 + 8L * i)).reinterpretAsFloats();
            s0 = v.fma(d50, s0);
            s1 = v.fma(d51, s1);
            v = LongVector.broadcast(L, w.get(LONG, w6 + 8L * i)).reinterpretAsFloats();
            s0 = v.fma(d60, s0);
            s1 = v.fma(d61, s1);
            s0.intoMemorySegment(sums, to, ORDER);
            s1.intoMemorySegment(sums, to + BYTES, ORDER);
        }
    }

    /**
     * The same for rows of BF16, where they lie: four weights are a long, of which one vector takes the lower half of each int by a shift, the
     * other the upper. So sums have of every four columns the first and the third in two vectors, the second and the fourth in the next two
     * ({@link Pairs#regroup}).
     *
     * @param fours columns, by four
     * @param sums [fours][4 vectors]
     */
    static void updateBf16(
            MemorySegment w, long wAt, long wRow, MemorySegment d, long dAt, int fours, MemorySegment sums, long at) {
        w = Lanes.plain(w);
        d = Lanes.plain(d);
        sums = Lanes.plain(sums);
        long w0 = wAt;
        long w1 = wAt + wRow;
        long w2 = wAt + 2 * wRow;
        long w3 = wAt + 3 * wRow;
        long w4 = wAt + 4 * wRow;
        long w5 = wAt + 5 * wRow;
        long w6 = wAt + 6 * wRow;
        FloatVector d00 = FloatVector.fromMemorySegment(F, d, dAt, ORDER);
        FloatVector d01 = FloatVector.fromMemorySegment(F, d, dAt + BYTES, ORDER);
        FloatVector d10 = FloatVector.fromMemorySegment(F, d, dAt + 2 * BYTES, ORDER);
        FloatVector d11 = FloatVector.fromMemorySegment(F, d, dAt + 3 * BYTES, ORDER);
        FloatVector d20 = FloatVector.fromMemorySegment(F, d, dAt + 4 * BYTES, ORDER);
        FloatVector d21 = FloatVector.fromMemorySegment(F, d, dAt + 5 * BYTES, ORDER);
        FloatVector d30 = FloatVector.fromMemorySegment(F, d, dAt + 6 * BYTES, ORDER);
        FloatVector d31 = FloatVector.fromMemorySegment(F, d, dAt + 7 * BYTES, ORDER);
        FloatVector d40 = FloatVector.fromMemorySegment(F, d, dAt + 8 * BYTES, ORDER);
        FloatVector d41 = FloatVector.fromMemorySegment(F, d, dAt + 9 * BYTES, ORDER);
        FloatVector d50 = FloatVector.fromMemorySegment(F, d, dAt + 10 * BYTES, ORDER);
        FloatVector d51 = FloatVector.fromMemorySegment(F, d, dAt + 11 * BYTES, ORDER);
        FloatVector d60 = FloatVector.fromMemorySegment(F, d, dAt + 12 * BYTES, ORDER);
        FloatVector d61 = FloatVector.fromMemorySegment(F, d, dAt + 13 * BYTES, ORDER);
        for (int i = 0; i < fours; i++) {
            long to = at + 4L * BYTES * i;
            FloatVector s0 = FloatVector.fromMemorySegment(F, sums, to, ORDER);
            FloatVector s1 = FloatVector.fromMemorySegment(F, sums, to + BYTES, ORDER);
            FloatVector s2 = FloatVector.fromMemorySegment(F, sums, to + 2 * BYTES, ORDER);
            FloatVector s3 = FloatVector.fromMemorySegment(F, sums, to + 3 * BYTES, ORDER);
            LongVector v = LongVector.broadcast(L, w.get(LONG, w0 + 8L * i));
            FloatVector low = v.lanewise(VectorOperators.LSHL, 16).and(HIGH).reinterpretAsFloats();
            FloatVector high = v.and(HIGH).reinterpretAsFloats();
            s0 = low.fma(d00, s0);
            s1 = low.fma(d01, s1);
            s2 = high.fma(d00, s2);
            s3 = high.fma(d01, s3);
            v = LongVector.broadcast(L, w.get(LONG, w1 + 8L * i));
            low = v.lanewise(VectorOperators.LSHL, 16).and(HIGH).reinterpretAsFloats();
            high = v.and(HIGH).reinterpretAsFloats();
            s0 = low.fma(d10, s0);
            s1 = low.fma(d11, s1);
            s2 = high.fma(d10, s2);
            s3 = high.fma(d11, s3);
            v = LongVector.broadcast(L, w.get(LONG, w2 + 8L * i));
            low = v.lanewise(VectorOperators.LSHL, 16).and(HIGH).reinterpretAsFloats();
            high = v.and(HIGH).reinterpretAsFloats();
            s0 = low.fma(d20, s0);
            s1 = low.fma(d21, s1);
            s2 = high.fma(d20, s2);
            s3 = high.fma(d21, s3);
            v = LongVector.broadcast(L, w.get(LONG, w3 + 8L * i));
            low = v.lanewise(VectorOperators.LSHL, 16).and(HIGH).reinterpretAsFloats();
            high = v.and(HIGH).reinterpretAsFloats();
            s0 = low.fma(d30, s0);
            s1 = low.fma(d31, s1);
            s2 = high.fma(d30, s2);
            s3 = high.fma(d31, s3);
            v = LongVector.broadcast(L, w.get(LONG, w4 + 8L * i));
            low = v.lanewise(VectorOperators.LSHL, 16).and(HIGH).reinterpretAsFloats();
            high = v.and(HIGH).reinterpretAsFloats();
            s0 = low.fma(d40, s0);
            s1 = low.fma(d41, s1);
            s2 = high.fma(d40, s2);
            s3 = high.fma(d41, s3);
            v = LongVector.broadcast(L, w.get(LONG, w5 + 8L * i));
            low = v.lanewise(VectorOperators.LSHL, 16).and(HIGH).reinterpretAsFloats();
            high = v.and(HIGH).reinterpretAsFloats();
            s0 = low.fma(d50, s0);
            s1 = low.fma(d51, s1);
            s2 = high.fma(d50, s2);
            s3 = high.fma(d51, s3);
            v = LongVector.broadcast(L, w.get(LONG, w6 + 8L * i));
            low = v.lanewise(VectorOperators.LSHL, 16).and(HIGH).reinterpretAsFloats();
            high = v.and(HIGH).reinterpretAsFloats();
            s0 = low.fma(d60, s0);
            s1 = low.fma(d61, s1);
            s2 = high.fma(d60, s2);
            s3 = high.fma(d61, s3);
            s0.intoMemorySegment(sums, to, ORDER);
            s1.intoMemorySegment(sums, to + BYTES, ORDER);
            s2.intoMemorySegment(sums, to + 2 * BYTES, ORDER);
            s3.intoMemorySegment(sums, to + 3 * BYTES, ORDER);
        }
    }

    /** For 16 registers. */
    private static void update4(
            MemorySegment w, long wAt, long wRow, MemorySegment d, long dAt, int pairs, MemorySegment sums, long at) {
        w = Lanes.plain(w);
        d = Lanes.plain(d);
        sums = Lanes.plain(sums);
        long w0 = wAt;
        long w1 = wAt + wRow;
        long w2 = wAt + 2 * wRow;
        long w3 = wAt + 3 * wRow;
        FloatVector d00 = FloatVector.fromMemorySegment(F, d, dAt, ORDER);
        FloatVector d01 = FloatVector.fromMemorySegment(F, d, dAt + BYTES, ORDER);
        FloatVector d10 = FloatVector.fromMemorySegment(F, d, dAt + 2 * BYTES, ORDER);
        FloatVector d11 = FloatVector.fromMemorySegment(F, d, dAt + 3 * BYTES, ORDER);
        FloatVector d20 = FloatVector.fromMemorySegment(F, d, dAt + 4 * BYTES, ORDER);
        FloatVector d21 = FloatVector.fromMemorySegment(F, d, dAt + 5 * BYTES, ORDER);
        FloatVector d30 = FloatVector.fromMemorySegment(F, d, dAt + 6 * BYTES, ORDER);
        FloatVector d31 = FloatVector.fromMemorySegment(F, d, dAt + 7 * BYTES, ORDER);
        for (int i = 0; i < pairs; i++) {
            long to = at + 2L * BYTES * i;
            FloatVector s0 = FloatVector.fromMemorySegment(F, sums, to, ORDER);
            FloatVector s1 = FloatVector.fromMemorySegment(F, sums, to + BYTES, ORDER);
            FloatVector v = LongVector.broadcast(L, w.get(LONG, w0 + 8L * i)).reinterpretAsFloats();
            s0 = v.fma(d00, s0);
            s1 = v.fma(d01, s1);
            v = LongVector.broadcast(L, w.get(LONG, w1 + 8L * i)).reinterpretAsFloats();
            s0 = v.fma(d10, s0);
            s1 = v.fma(d11, s1);
            v = LongVector.broadcast(L, w.get(LONG, w2 + 8L * i)).reinterpretAsFloats();
            s0 = v.fma(d20, s0);
            s1 = v.fma(d21, s1);
            v = LongVector.broadcast(L, w.get(LONG, w3 + 8L * i)).reinterpretAsFloats();
            s0 = v.fma(d30, s0);
            s1 = v.fma(d31, s1);
            s0.intoMemorySegment(sums, to, ORDER);
            s1.intoMemorySegment(sums, to + BYTES, ORDER);
        }
    }
}

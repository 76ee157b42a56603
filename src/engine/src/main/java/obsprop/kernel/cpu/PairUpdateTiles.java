package obsprop.kernel.cpu;

import static obsprop.kernel.cpu.Convert.I;
import static obsprop.kernel.cpu.Lanes.BYTES;
import static obsprop.kernel.cpu.Lanes.F;
import static obsprop.kernel.cpu.Lanes.ORDER;
import static obsprop.kernel.cpu.PairTiles.L;
import static obsprop.kernel.cpu.PairTiles.LONG;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.LongVector;
import jdk.incubator.vector.ShortVector;
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
    private static final int COPIED_ROW_BITS = 3;
    /** Rows that {@link #updateAhead} widens: one more than it takes, since masks and shifts count rows. */
    static final int COPIED_ROWS = 1 << COPIED_ROW_BITS;
    /** Columns of widened rows at most. */
    static final int COLUMNS = 2048;
    /** Bytes from row to row of them: not a power of two, or all would fall into the same sets of the cache. */
    static final long ROW = 4L * (COLUMNS + Lanes.N);

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
     * The same for rows that were widened to scratch, {@link #ROW} bytes apart. On the way as much of {@link #COPIED_ROWS} rows of BF16,
     * from {@code next} on, is widened likewise from {@code wideAt} on: so memory is waited for while there is something to compute.
     *
     * @param pairs half a multiple of a vector
     */
    static void updateAhead(
            MemorySegment w, long wAt, MemorySegment d, long dAt, int pairs, MemorySegment sums, long at,
            MemorySegment next, long nextAt, long nextRow, long wideAt) {
        w = Lanes.plain(w);
        d = Lanes.plain(d);
        sums = Lanes.plain(sums);
        next = Lanes.plain(next);
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
            // All rows in turn: several streams come faster from memory than one after the other.
            int row = i & COPIED_ROWS - 1;
            int vector = i >> COPIED_ROW_BITS;
            ShortVector h = ShortVector.fromMemorySegment(Convert.H, next, nextAt + row * nextRow + BYTES / 2L * vector, ORDER);
            IntVector bits = (IntVector) h.convertShape(VectorOperators.ZERO_EXTEND_S2I, I, 0);
            bits.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().intoMemorySegment(w, wideAt + ROW * row + (long) BYTES * vector, ORDER);
            long to = at + 2L * BYTES * i;
            FloatVector s0 = FloatVector.fromMemorySegment(F, sums, to, ORDER);
            FloatVector s1 = FloatVector.fromMemorySegment(F, sums, to + BYTES, ORDER);
            FloatVector v = LongVector.broadcast(L, w.get(LONG, wAt + 8L * i)).reinterpretAsFloats();
            s0 = v.fma(d00, s0);
            s1 = v.fma(d01, s1);
            v = LongVector.broadcast(L, w.get(LONG, wAt + ROW + 8L * i)).reinterpretAsFloats();
            s0 = v.fma(d10, s0);
            s1 = v.fma(d11, s1);
            v = LongVector.broadcast(L, w.get(LONG, wAt + 2 * ROW + 8L * i)).reinterpretAsFloats();
            s0 = v.fma(d20, s0);
            s1 = v.fma(d21, s1);
            v = LongVector.broadcast(L, w.get(LONG, wAt + 3 * ROW + 8L * i)).reinterpretAsFloats();
            s0 = v.fma(d30, s0);
            s1 = v.fma(d31, s1);
            v = LongVector.broadcast(L, w.get(LONG, wAt + 4 * ROW + 8L * i)).reinterpretAsFloats();
            s0 = v.fma(d40, s0);
            s1 = v.fma(d41, s1);
            v = LongVector.broadcast(L, w.get(LONG, wAt + 5 * ROW + 8L * i)).reinterpretAsFloats();
            s0 = v.fma(d50, s0);
            s1 = v.fma(d51, s1);
            v = LongVector.broadcast(L, w.get(LONG, wAt + 6 * ROW + 8L * i)).reinterpretAsFloats();
            s0 = v.fma(d60, s0);
            s1 = v.fma(d61, s1);
            s0.intoMemorySegment(sums, to, ORDER);
            s1.intoMemorySegment(sums, to + BYTES, ORDER);
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

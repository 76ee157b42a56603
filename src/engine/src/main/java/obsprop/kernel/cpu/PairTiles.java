package obsprop.kernel.cpu;

import static obsprop.kernel.cpu.Convert.I;
import static obsprop.kernel.cpu.Lanes.BYTES;
import static obsprop.kernel.cpu.Lanes.F;
import static obsprop.kernel.cpu.Lanes.ORDER;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.LongVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/**
 * The tiles of {@code X W^T} for 32 vector registers. Two neighbouring weights are loaded and broadcast at once, and meet vectors of X
 * whose even lanes have one k and whose odd lanes the next: a load for every multiply-add, as single weights and one vector of tokens
 * need it, is more than the ports for loads give. Sums over even k and over odd k stay apart until {@link Pairs#sum} adds them.
 *
 * <p>Packed X has, for every two k, two vectors for each {@link Lanes#N} tokens, the even tokens' and the odd tokens', or one for half as
 * many ({@link Transposer#pairs}). Offsets and strides count bytes; {@code rows} says how many rows P has: the others of the tile
 * repeat the last one.
 */
final class PairTiles {
    /** Rows of a tile, as many as there are registers for their addresses. */
    static final int ROWS = 8;
    /** Of k in a tile at most. */
    static final int DEPTH = 1024;
    /** Tokens of a tile. */
    static final int TOKENS = Lanes.N;
    /** Panels of so many tokens up to which BF16 is widened in registers, once for each; for more, once in scratch. */
    static final int BF16_PANELS = 2;
    /** Floats that a tile is written to: twice as many as its sums. */
    static final int SIZE = 2 * ROWS * TOKENS;

    static final VectorSpecies<Long> L = VectorSpecies.of(long.class, F.vectorShape());
    static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED;
    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED;

    private PairTiles() {}

    /** Whether one vector takes the pairs of so many tokens: packed X and tiles have half the width then. */
    static boolean half(int tokens) {
        return tokens <= TOKENS / 2;
    }

    /** Apart, so that only programs with BF16 load vectors of ints. */
    private static final class Ints {
        /** By what a lane's BF16 of two in an int is shifted. */
        static final IntVector SHIFTS = IntVector.zero(I).blend(16, VectorMask.fromLong(I, 0x5555L));
    }

    /** {@code tile[ROWS, TOKENS] = P[ROWS, 2 pairs] Q}, sums over even and odd k apart. */
    static void multiply(
            MemorySegment p, long pAt, long pRow, int rows, MemorySegment q, long qAt, int pairs, MemorySegment tile) {
        p = Lanes.plain(p);
        q = Lanes.plain(q);
        tile = Lanes.plain(tile);
        long p0 = pAt;
        long p1 = pAt + Math.min(1, rows - 1) * pRow;
        long p2 = pAt + Math.min(2, rows - 1) * pRow;
        long p3 = pAt + Math.min(3, rows - 1) * pRow;
        long p4 = pAt + Math.min(4, rows - 1) * pRow;
        long p5 = pAt + Math.min(5, rows - 1) * pRow;
        long p6 = pAt + Math.min(6, rows - 1) * pRow;
        long p7 = pAt + Math.min(7, rows - 1) * pRow;
        FloatVector a00 = FloatVector.zero(F);
        FloatVector a01 = a00;
        FloatVector a10 = a00;
        FloatVector a11 = a00;
        FloatVector a20 = a00;
        FloatVector a21 = a00;
        FloatVector a30 = a00;
        FloatVector a31 = a00;
        FloatVector a40 = a00;
        FloatVector a41 = a00;
        FloatVector a50 = a00;
        FloatVector a51 = a00;
        FloatVector a60 = a00;
        FloatVector a61 = a00;
        FloatVector a70 = a00;
        FloatVector a71 = a00;
        for (int i = 0; i < pairs; i++) {
            long at = qAt + 2L * BYTES * i;
            FloatVector q0 = FloatVector.fromMemorySegment(F, q, at, ORDER);
            FloatVector q1 = FloatVector.fromMemorySegment(F, q, at + BYTES, ORDER);
            FloatVector w = LongVector.broadcast(L, p.get(LONG, p0 + 8L * i)).reinterpretAsFloats();
            a00 = w.fma(q0, a00);
            a01 = w.fma(q1, a01);
            w = LongVector.broadcast(L, p.get(LONG, p1 + 8L * i)).reinterpretAsFloats();
            a10 = w.fma(q0, a10);
            a11 = w.fma(q1, a11);
            w = LongVector.broadcast(L, p.get(LONG, p2 + 8L * i)).reinterpretAsFloats();
            a20 = w.fma(q0, a20);
            a21 = w.fma(q1, a21);
            w = LongVector.broadcast(L, p.get(LONG, p3 + 8L * i)).reinterpretAsFloats();
            a30 = w.fma(q0, a30);
            a31 = w.fma(q1, a31);
            w = LongVector.broadcast(L, p.get(LONG, p4 + 8L * i)).reinterpretAsFloats();
            a40 = w.fma(q0, a40);
            a41 = w.fma(q1, a41);
            w = LongVector.broadcast(L, p.get(LONG, p5 + 8L * i)).reinterpretAsFloats();
            a50 = w.fma(q0, a50);
            a51 = w.fma(q1, a51);
            w = LongVector.broadcast(L, p.get(LONG, p6 + 8L * i)).reinterpretAsFloats();
            a60 = w.fma(q0, a60);
            a61 = w.fma(q1, a61);
            w = LongVector.broadcast(L, p.get(LONG, p7 + 8L * i)).reinterpretAsFloats();
            a70 = w.fma(q0, a70);
            a71 = w.fma(q1, a71);
        }
        a00.intoMemorySegment(tile, 0, ORDER);
        a01.intoMemorySegment(tile, BYTES, ORDER);
        a10.intoMemorySegment(tile, 2 * BYTES, ORDER);
        a11.intoMemorySegment(tile, 3 * BYTES, ORDER);
        a20.intoMemorySegment(tile, 4 * BYTES, ORDER);
        a21.intoMemorySegment(tile, 5 * BYTES, ORDER);
        a30.intoMemorySegment(tile, 6 * BYTES, ORDER);
        a31.intoMemorySegment(tile, 7 * BYTES, ORDER);
        a40.intoMemorySegment(tile, 8 * BYTES, ORDER);
        a41.intoMemorySegment(tile, 9 * BYTES, ORDER);
        a50.intoMemorySegment(tile, 10 * BYTES, ORDER);
        a51.intoMemorySegment(tile, 11 * BYTES, ORDER);
        a60.intoMemorySegment(tile, 12 * BYTES, ORDER);
        a61.intoMemorySegment(tile, 13 * BYTES, ORDER);
        a70.intoMemorySegment(tile, 14 * BYTES, ORDER);
        a71.intoMemorySegment(tile, 15 * BYTES, ORDER);
    }

    /**
     * The same for rows of BF16, where they lie: two weights are an int, of which even lanes take the lower by a shift, and odd lanes the
     * upper. That is two more operations for two multiply-adds, which on Zen 5 take no time, as they have other ports.
     */
    static void multiplyBf16(
            MemorySegment p, long pAt, long pRow, int rows, MemorySegment q, long qAt, int pairs, MemorySegment tile) {
        p = Lanes.plain(p);
        q = Lanes.plain(q);
        tile = Lanes.plain(tile);
        IntVector counts = Ints.SHIFTS;
        long p0 = pAt;
        long p1 = pAt + Math.min(1, rows - 1) * pRow;
        long p2 = pAt + Math.min(2, rows - 1) * pRow;
        long p3 = pAt + Math.min(3, rows - 1) * pRow;
        long p4 = pAt + Math.min(4, rows - 1) * pRow;
        long p5 = pAt + Math.min(5, rows - 1) * pRow;
        long p6 = pAt + Math.min(6, rows - 1) * pRow;
        long p7 = pAt + Math.min(7, rows - 1) * pRow;
        FloatVector a00 = FloatVector.zero(F);
        FloatVector a01 = a00;
        FloatVector a10 = a00;
        FloatVector a11 = a00;
        FloatVector a20 = a00;
        FloatVector a21 = a00;
        FloatVector a30 = a00;
        FloatVector a31 = a00;
        FloatVector a40 = a00;
        FloatVector a41 = a00;
        FloatVector a50 = a00;
        FloatVector a51 = a00;
        FloatVector a60 = a00;
        FloatVector a61 = a00;
        FloatVector a70 = a00;
        FloatVector a71 = a00;
        for (int i = 0; i < pairs; i++) {
            long at = qAt + 2L * BYTES * i;
            FloatVector q0 = FloatVector.fromMemorySegment(F, q, at, ORDER);
            FloatVector q1 = FloatVector.fromMemorySegment(F, q, at + BYTES, ORDER);
            FloatVector w = IntVector.broadcast(I, p.get(INT, p0 + 4L * i)).lanewise(VectorOperators.LSHL, counts).and(Convert.HIGH).reinterpretAsFloats();
            a00 = w.fma(q0, a00);
            a01 = w.fma(q1, a01);
            w = IntVector.broadcast(I, p.get(INT, p1 + 4L * i)).lanewise(VectorOperators.LSHL, counts).and(Convert.HIGH).reinterpretAsFloats();
            a10 = w.fma(q0, a10);
            a11 = w.fma(q1, a11);
            w = IntVector.broadcast(I, p.get(INT, p2 + 4L * i)).lanewise(VectorOperators.LSHL, counts).and(Convert.HIGH).reinterpretAsFloats();
            a20 = w.fma(q0, a20);
            a21 = w.fma(q1, a21);
            w = IntVector.broadcast(I, p.get(INT, p3 + 4L * i)).lanewise(VectorOperators.LSHL, counts).and(Convert.HIGH).reinterpretAsFloats();
            a30 = w.fma(q0, a30);
            a31 = w.fma(q1, a31);
            w = IntVector.broadcast(I, p.get(INT, p4 + 4L * i)).lanewise(VectorOperators.LSHL, counts).and(Convert.HIGH).reinterpretAsFloats();
            a40 = w.fma(q0, a40);
            a41 = w.fma(q1, a41);
            w = IntVector.broadcast(I, p.get(INT, p5 + 4L * i)).lanewise(VectorOperators.LSHL, counts).and(Convert.HIGH).reinterpretAsFloats();
            a50 = w.fma(q0, a50);
            a51 = w.fma(q1, a51);
            w = IntVector.broadcast(I, p.get(INT, p6 + 4L * i)).lanewise(VectorOperators.LSHL, counts).and(Convert.HIGH).reinterpretAsFloats();
            a60 = w.fma(q0, a60);
            a61 = w.fma(q1, a61);
            w = IntVector.broadcast(I, p.get(INT, p7 + 4L * i)).lanewise(VectorOperators.LSHL, counts).and(Convert.HIGH).reinterpretAsFloats();
            a70 = w.fma(q0, a70);
            a71 = w.fma(q1, a71);
        }
        a00.intoMemorySegment(tile, 0, ORDER);
        a01.intoMemorySegment(tile, BYTES, ORDER);
        a10.intoMemorySegment(tile, 2 * BYTES, ORDER);
        a11.intoMemorySegment(tile, 3 * BYTES, ORDER);
        a20.intoMemorySegment(tile, 4 * BYTES, ORDER);
        a21.intoMemorySegment(tile, 5 * BYTES, ORDER);
        a30.intoMemorySegment(tile, 6 * BYTES, ORDER);
        a31.intoMemorySegment(tile, 7 * BYTES, ORDER);
        a40.intoMemorySegment(tile, 8 * BYTES, ORDER);
        a41.intoMemorySegment(tile, 9 * BYTES, ORDER);
        a50.intoMemorySegment(tile, 10 * BYTES, ORDER);
        a51.intoMemorySegment(tile, 11 * BYTES, ORDER);
        a60.intoMemorySegment(tile, 12 * BYTES, ORDER);
        a61.intoMemorySegment(tile, 13 * BYTES, ORDER);
        a70.intoMemorySegment(tile, 14 * BYTES, ORDER);
        a71.intoMemorySegment(tile, 15 * BYTES, ORDER);
    }

    /** {@code tile[ROWS, TOKENS / 2] = P[ROWS, 2 pairs] Q}, sums over even and odd k apart. */
    static void multiplyHalf(
            MemorySegment p, long pAt, long pRow, int rows, MemorySegment q, long qAt, int pairs, MemorySegment tile) {
        p = Lanes.plain(p);
        q = Lanes.plain(q);
        tile = Lanes.plain(tile);
        long p0 = pAt;
        long p1 = pAt + Math.min(1, rows - 1) * pRow;
        long p2 = pAt + Math.min(2, rows - 1) * pRow;
        long p3 = pAt + Math.min(3, rows - 1) * pRow;
        long p4 = pAt + Math.min(4, rows - 1) * pRow;
        long p5 = pAt + Math.min(5, rows - 1) * pRow;
        long p6 = pAt + Math.min(6, rows - 1) * pRow;
        long p7 = pAt + Math.min(7, rows - 1) * pRow;
        FloatVector a0 = FloatVector.zero(F);
        FloatVector a1 = a0;
        FloatVector a2 = a0;
        FloatVector a3 = a0;
        FloatVector a4 = a0;
        FloatVector a5 = a0;
        FloatVector a6 = a0;
        FloatVector a7 = a0;
        for (int i = 0; i < pairs; i++) {
            FloatVector q0 = FloatVector.fromMemorySegment(F, q, qAt + (long) BYTES * i, ORDER);
            FloatVector w = LongVector.broadcast(L, p.get(LONG, p0 + 8L * i)).reinterpretAsFloats();
            a0 = w.fma(q0, a0);
            w = LongVector.broadcast(L, p.get(LONG, p1 + 8L * i)).reinterpretAsFloats();
            a1 = w.fma(q0, a1);
            w = LongVector.broadcast(L, p.get(LONG, p2 + 8L * i)).reinterpretAsFloats();
            a2 = w.fma(q0, a2);
            w = LongVector.broadcast(L, p.get(LONG, p3 + 8L * i)).reinterpretAsFloats();
            a3 = w.fma(q0, a3);
            w = LongVector.broadcast(L, p.get(LONG, p4 + 8L * i)).reinterpretAsFloats();
            a4 = w.fma(q0, a4);
            w = LongVector.broadcast(L, p.get(LONG, p5 + 8L * i)).reinterpretAsFloats();
            a5 = w.fma(q0, a5);
            w = LongVector.broadcast(L, p.get(LONG, p6 + 8L * i)).reinterpretAsFloats();
            a6 = w.fma(q0, a6);
            w = LongVector.broadcast(L, p.get(LONG, p7 + 8L * i)).reinterpretAsFloats();
            a7 = w.fma(q0, a7);
        }
        a0.intoMemorySegment(tile, 0, ORDER);
        a1.intoMemorySegment(tile, BYTES, ORDER);
        a2.intoMemorySegment(tile, 2 * BYTES, ORDER);
        a3.intoMemorySegment(tile, 3 * BYTES, ORDER);
        a4.intoMemorySegment(tile, 4 * BYTES, ORDER);
        a5.intoMemorySegment(tile, 5 * BYTES, ORDER);
        a6.intoMemorySegment(tile, 6 * BYTES, ORDER);
        a7.intoMemorySegment(tile, 7 * BYTES, ORDER);
    }

    /** {@link #multiplyHalf} for rows of BF16. */
    static void multiplyHalfBf16(
            MemorySegment p, long pAt, long pRow, int rows, MemorySegment q, long qAt, int pairs, MemorySegment tile) {
        p = Lanes.plain(p);
        q = Lanes.plain(q);
        tile = Lanes.plain(tile);
        IntVector counts = Ints.SHIFTS;
        long p0 = pAt;
        long p1 = pAt + Math.min(1, rows - 1) * pRow;
        long p2 = pAt + Math.min(2, rows - 1) * pRow;
        long p3 = pAt + Math.min(3, rows - 1) * pRow;
        long p4 = pAt + Math.min(4, rows - 1) * pRow;
        long p5 = pAt + Math.min(5, rows - 1) * pRow;
        long p6 = pAt + Math.min(6, rows - 1) * pRow;
        long p7 = pAt + Math.min(7, rows - 1) * pRow;
        FloatVector a0 = FloatVector.zero(F);
        FloatVector a1 = a0;
        FloatVector a2 = a0;
        FloatVector a3 = a0;
        FloatVector a4 = a0;
        FloatVector a5 = a0;
        FloatVector a6 = a0;
        FloatVector a7 = a0;
        for (int i = 0; i < pairs; i++) {
            FloatVector q0 = FloatVector.fromMemorySegment(F, q, qAt + (long) BYTES * i, ORDER);
            FloatVector w = IntVector.broadcast(I, p.get(INT, p0 + 4L * i)).lanewise(VectorOperators.LSHL, counts).and(Convert.HIGH).reinterpretAsFloats();
            a0 = w.fma(q0, a0);
            w = IntVector.broadcast(I, p.get(INT, p1 + 4L * i)).lanewise(VectorOperators.LSHL, counts).and(Convert.HIGH).reinterpretAsFloats();
            a1 = w.fma(q0, a1);
            w = IntVector.broadcast(I, p.get(INT, p2 + 4L * i)).lanewise(VectorOperators.LSHL, counts).and(Convert.HIGH).reinterpretAsFloats();
            a2 = w.fma(q0, a2);
            w = IntVector.broadcast(I, p.get(INT, p3 + 4L * i)).lanewise(VectorOperators.LSHL, counts).and(Convert.HIGH).reinterpretAsFloats();
            a3 = w.fma(q0, a3);
            w = IntVector.broadcast(I, p.get(INT, p4 + 4L * i)).lanewise(VectorOperators.LSHL, counts).and(Convert.HIGH).reinterpretAsFloats();
            a4 = w.fma(q0, a4);
            w = IntVector.broadcast(I, p.get(INT, p5 + 4L * i)).lanewise(VectorOperators.LSHL, counts).and(Convert.HIGH).reinterpretAsFloats();
            a5 = w.fma(q0, a5);
            w = IntVector.broadcast(I, p.get(INT, p6 + 4L * i)).lanewise(VectorOperators.LSHL, counts).and(Convert.HIGH).reinterpretAsFloats();
            a6 = w.fma(q0, a6);
            w = IntVector.broadcast(I, p.get(INT, p7 + 4L * i)).lanewise(VectorOperators.LSHL, counts).and(Convert.HIGH).reinterpretAsFloats();
            a7 = w.fma(q0, a7);
        }
        a0.intoMemorySegment(tile, 0, ORDER);
        a1.intoMemorySegment(tile, BYTES, ORDER);
        a2.intoMemorySegment(tile, 2 * BYTES, ORDER);
        a3.intoMemorySegment(tile, 3 * BYTES, ORDER);
        a4.intoMemorySegment(tile, 4 * BYTES, ORDER);
        a5.intoMemorySegment(tile, 5 * BYTES, ORDER);
        a6.intoMemorySegment(tile, 6 * BYTES, ORDER);
        a7.intoMemorySegment(tile, 7 * BYTES, ORDER);
    }
}

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
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/**
 * The tiles of {@code X W^T} for 32 vector registers. Two neighbouring weights are loaded and broadcast at once, and meet vectors of X
 * whose even lanes have one k and whose odd lanes the next: a load for every multiply-add, as single weights and one vector of tokens
 * need it, is more than the ports for loads give. Sums over even k and over odd k stay apart until {@link Pairs#sum} adds them.
 *
 * <p>Packed X has, for every two k, two vectors for each {@link Lanes#N} tokens: the even tokens', the odd tokens'
 * ({@link Transposer#pairs}). Offsets and strides count bytes; {@code rows} says how many rows P has: the others of the tile
 * repeat the last one.
 */
final class PairTiles {
    /** Shifts divide by {@link #ROWS}: of a counter C2 does not see that it is not negative. */
    private static final int ROW_BITS = 3;
    /** Rows of a tile, as many as there are registers for their addresses. */
    static final int ROWS = 1 << ROW_BITS;
    /** Of k in a tile at most. */
    static final int DEPTH = 1024;
    /** Bytes from row to row of widened weights: not a power of two, or all would fall into the same sets of the cache. */
    static final long ROW = 4L * (DEPTH + 16);
    /** Tokens of a tile. */
    static final int TOKENS = Lanes.N;
    /** Floats that a tile is written to: twice as many as its sums. */
    static final int SIZE = 2 * ROWS * TOKENS;

    static final VectorSpecies<Long> L = VectorSpecies.of(long.class, F.vectorShape());
    static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED;

    private PairTiles() {}

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
     * The same with rows of P that were widened to scratch, {@link #ROW} bytes apart. On the way as much of as many rows of BF16, from
     * {@code next} on, is widened likewise from {@code wideAt} on: so memory is waited for while there is something to compute.
     *
     * @param pairs half a multiple of a vector
     */
    static void multiplyAhead(
            MemorySegment p, long pAt, MemorySegment q, long qAt, int pairs, MemorySegment tile,
            MemorySegment next, long nextAt, long nextRow, long wideAt) {
        next = Lanes.plain(next);
        p = Lanes.plain(p);
        q = Lanes.plain(q);
        tile = Lanes.plain(tile);
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
            // All rows in turn: several streams come faster from memory than one after the other.
            int row = i & ROWS - 1;
            int vector = i >> ROW_BITS;
            ShortVector h = ShortVector.fromMemorySegment(Convert.H, next, nextAt + row * nextRow + (long) BYTES / 2 * vector, ORDER);
            IntVector bits = (IntVector) h.convertShape(VectorOperators.ZERO_EXTEND_S2I, I, 0);
            bits.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().intoMemorySegment(p, wideAt + ROW * row + (long) BYTES * vector, ORDER);
            long at = qAt + 2L * BYTES * i;
            FloatVector q0 = FloatVector.fromMemorySegment(F, q, at, ORDER);
            FloatVector q1 = FloatVector.fromMemorySegment(F, q, at + BYTES, ORDER);
            FloatVector w = LongVector.broadcast(L, p.get(LONG, pAt + 8L * i)).reinterpretAsFloats();
            a00 = w.fma(q0, a00);
            a01 = w.fma(q1, a01);
            w = LongVector.broadcast(L, p.get(LONG, pAt + ROW + 8L * i)).reinterpretAsFloats();
            a10 = w.fma(q0, a10);
            a11 = w.fma(q1, a11);
            w = LongVector.broadcast(L, p.get(LONG, pAt + 2 * ROW + 8L * i)).reinterpretAsFloats();
            a20 = w.fma(q0, a20);
            a21 = w.fma(q1, a21);
            w = LongVector.broadcast(L, p.get(LONG, pAt + 3 * ROW + 8L * i)).reinterpretAsFloats();
            a30 = w.fma(q0, a30);
            a31 = w.fma(q1, a31);
            w = LongVector.broadcast(L, p.get(LONG, pAt + 4 * ROW + 8L * i)).reinterpretAsFloats();
            a40 = w.fma(q0, a40);
            a41 = w.fma(q1, a41);
            w = LongVector.broadcast(L, p.get(LONG, pAt + 5 * ROW + 8L * i)).reinterpretAsFloats();
            a50 = w.fma(q0, a50);
            a51 = w.fma(q1, a51);
            w = LongVector.broadcast(L, p.get(LONG, pAt + 6 * ROW + 8L * i)).reinterpretAsFloats();
            a60 = w.fma(q0, a60);
            a61 = w.fma(q1, a61);
            w = LongVector.broadcast(L, p.get(LONG, pAt + 7 * ROW + 8L * i)).reinterpretAsFloats();
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
}

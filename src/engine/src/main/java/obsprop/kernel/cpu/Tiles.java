package obsprop.kernel.cpu;

import static obsprop.kernel.cpu.Convert.HIGH;
import static obsprop.kernel.cpu.Convert.I;
import static obsprop.kernel.cpu.Lanes.BYTES;
import static obsprop.kernel.cpu.Lanes.F;
import static obsprop.kernel.cpu.Lanes.FLOAT;
import static obsprop.kernel.cpu.Lanes.N;
import static obsprop.kernel.cpu.Lanes.ORDER;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/**
 * The register tiles of {@link Blocks} and of {@link RankUpdates}; {@link PairTiles} and {@link StripTiles} are more of their kind.
 * Each is one method, long because a vector that crosses a call is boxed; all offsets and strides count bytes.
 *
 * <p>Sizes here are a bargain with the compilers. C2 drops the bounds checks of a loop where an offset is a constant times
 * the counter plus something fixed, so rows of P must be contiguous. C1 must be able to compile the method too: one with
 * twice the vector operations ran out of its registers, and HotSpot then left it in its slowest form for ever, at a
 * hundredth of the speed. Hence tiles start from zero and go to a buffer, and another method adds them to C.
 */
final class Tiles {
    /** With 32 vector registers four vectors fit beside six rows; with 16 only two beside four ({@link NarrowTiles}). */
    static final boolean WIDE = N >= 16;
    /** Rows of a tile. */
    static final int ROWS = WIDE ? 6 : NarrowTiles.ROWS;
    /** Rows of a smaller tile, for the last ones: 128 are twenty times six and twice four. */
    private static final int FEWER = StripTiles.ROWS;
    /** Columns of a tile: floats in a row of packed Q. */
    static final int WIDTH = (WIDE ? 4 : NarrowTiles.VECTORS) * N;
    /** Floats of a tile. */
    static final int SIZE = ROWS * WIDTH;

    private Tiles() {}

    /**
     * {@code tile[ROWS, WIDTH] = P[ROWS, k] Q[k, WIDTH]}: single elements of P are broadcast from where they lie, Q is packed.
     *
     * @param rows how many rows P has; the others of the tile repeat the last one, or are left as they were
     */
    static void multiply(
            MemorySegment p, long pAt, long pRow, int rows, MemorySegment q, long qAt, int k, MemorySegment tile, long tileAt) {
        if (WIDE && rows <= FEWER) {
            StripTiles.sums4x4(p, pAt, pRow, rows, q, qAt, 4L * WIDTH, k, tile, tileAt);
        } else if (WIDE) {
            multiply6x4(p, pAt, pRow, rows, q, qAt, k, tile, tileAt);
        } else {
            NarrowTiles.multiply(p, pAt, pRow, rows, q, qAt, k, tile, tileAt);
        }
    }

    /** How many of {@code rest} rows the next tile should take. */
    static int next(int rest) {
        return WIDE && rest == 2 * FEWER ? FEWER : Math.min(ROWS, rest);
    }

    /** {@code C (+)= tile} for the first rows and columns; rows of the tile lie {@code tileRow} bytes apart. */
    static void write(
            MemorySegment tile, long tileRow, int rows, int cols, MemorySegment c, long cAt, long cRow, boolean add) {
        for (int r = 0; r < rows; r++) {
            writeRow(tile, r * tileRow, cols, c, cAt + r * cRow, add);
        }
    }

    /** One row of {@link #write}. */
    static void writeRow(MemorySegment tile, long at, int cols, MemorySegment c, long cAt, boolean add) {
        if (add) {
            Copies.addRow(1f, tile, at, c, cAt, cols);
        } else {
            Copies.copyRow(tile, at, c, cAt, cols);
        }
    }

    /**
     * Four rows of W onto every token: {@code y[t, c] += sum_r d[t, r] w[r, c]} in the order of r. Loops run along the rows,
     * since to enter a loop, with its bounds checks, costs as much as some ten turns; so the factors are in registers, and
     * W is read from L1 by all tokens but the first.
     *
     * @param d [tokens][4], from byte {@code dAt} on
     * @param cols a multiple of the vector's length
     * @param y from byte {@code yAt} on, rows {@code yRow} bytes apart
     */
    static void addRank4(
            MemorySegment w, long wAt, long wRow, MemorySegment d, long dAt, int tokens, int cols, MemorySegment y, long yAt,
            long yRow) {
        int t = 0;
        for (; t + 2 <= tokens; t += 2) {
            rank4x2(w, wAt, wRow, d, dAt + 16L * t, cols, y, yAt + t * yRow, yRow);
        }
        if (t < tokens) {
            rank4x1(w, wAt, wRow, d, dAt + 16L * t, cols, y, yAt + t * yRow);
        }
    }

    /** The same with W in BF16; of every 2N columns y has first the even ones ({@link Pairs}). */
    static void addRank4Bf16(
            MemorySegment w, long wAt, long wRow, MemorySegment d, long dAt, int tokens, int cols, MemorySegment y, long yAt,
            long yRow) {
        int t = 0;
        for (; t + 2 <= tokens; t += 2) {
            rank4x2Bf16(w, wAt, wRow, d, dAt + 16L * t, cols, y, yAt + t * yRow, yRow);
        }
        if (t < tokens) {
            rank4x1Bf16(w, wAt, wRow, d, dAt + 16L * t, cols, y, yAt + t * yRow);
        }
    }

    /** Twenty-four accumulators, for 32 registers. */
    private static void multiply6x4(
            MemorySegment p, long pAt, long pRow, int rows, MemorySegment q, long qAt, int k, MemorySegment tile, long tileAt) {
        p = Lanes.plain(p);
        q = Lanes.plain(q);
        tile = Lanes.plain(tile);
        long p0 = pAt;
        long p1 = pAt + Math.min(1, rows - 1) * pRow;
        long p2 = pAt + Math.min(2, rows - 1) * pRow;
        long p3 = pAt + Math.min(3, rows - 1) * pRow;
        long p4 = pAt + Math.min(4, rows - 1) * pRow;
        long p5 = pAt + Math.min(5, rows - 1) * pRow;
        FloatVector a00 = FloatVector.zero(F);
        FloatVector a01 = a00;
        FloatVector a02 = a00;
        FloatVector a03 = a00;
        FloatVector a10 = a00;
        FloatVector a11 = a00;
        FloatVector a12 = a00;
        FloatVector a13 = a00;
        FloatVector a20 = a00;
        FloatVector a21 = a00;
        FloatVector a22 = a00;
        FloatVector a23 = a00;
        FloatVector a30 = a00;
        FloatVector a31 = a00;
        FloatVector a32 = a00;
        FloatVector a33 = a00;
        FloatVector a40 = a00;
        FloatVector a41 = a00;
        FloatVector a42 = a00;
        FloatVector a43 = a00;
        FloatVector a50 = a00;
        FloatVector a51 = a00;
        FloatVector a52 = a00;
        FloatVector a53 = a00;
        for (int i = 0; i < k; i++) {
            long at = qAt + 4L * BYTES * i;
            FloatVector q0 = FloatVector.fromMemorySegment(F, q, at, ORDER);
            FloatVector q1 = FloatVector.fromMemorySegment(F, q, at + BYTES, ORDER);
            FloatVector q2 = FloatVector.fromMemorySegment(F, q, at + 2 * BYTES, ORDER);
            FloatVector q3 = FloatVector.fromMemorySegment(F, q, at + 3 * BYTES, ORDER);
            FloatVector w = FloatVector.broadcast(F, p.get(FLOAT, p0 + 4L * i));
            a00 = w.fma(q0, a00);
            a01 = w.fma(q1, a01);
            a02 = w.fma(q2, a02);
            a03 = w.fma(q3, a03);
            w = FloatVector.broadcast(F, p.get(FLOAT, p1 + 4L * i));
            a10 = w.fma(q0, a10);
            a11 = w.fma(q1, a11);
            a12 = w.fma(q2, a12);
            a13 = w.fma(q3, a13);
            w = FloatVector.broadcast(F, p.get(FLOAT, p2 + 4L * i));
            a20 = w.fma(q0, a20);
            a21 = w.fma(q1, a21);
            a22 = w.fma(q2, a22);
            a23 = w.fma(q3, a23);
            w = FloatVector.broadcast(F, p.get(FLOAT, p3 + 4L * i));
            a30 = w.fma(q0, a30);
            a31 = w.fma(q1, a31);
            a32 = w.fma(q2, a32);
            a33 = w.fma(q3, a33);
            w = FloatVector.broadcast(F, p.get(FLOAT, p4 + 4L * i));
            a40 = w.fma(q0, a40);
            a41 = w.fma(q1, a41);
            a42 = w.fma(q2, a42);
            a43 = w.fma(q3, a43);
            w = FloatVector.broadcast(F, p.get(FLOAT, p5 + 4L * i));
            a50 = w.fma(q0, a50);
            a51 = w.fma(q1, a51);
            a52 = w.fma(q2, a52);
            a53 = w.fma(q3, a53);
        }
        a00.intoMemorySegment(tile, tileAt, ORDER);
        a01.intoMemorySegment(tile, tileAt + BYTES, ORDER);
        a02.intoMemorySegment(tile, tileAt + 2 * BYTES, ORDER);
        a03.intoMemorySegment(tile, tileAt + 3 * BYTES, ORDER);
        a10.intoMemorySegment(tile, tileAt + 4 * BYTES, ORDER);
        a11.intoMemorySegment(tile, tileAt + 5 * BYTES, ORDER);
        a12.intoMemorySegment(tile, tileAt + 6 * BYTES, ORDER);
        a13.intoMemorySegment(tile, tileAt + 7 * BYTES, ORDER);
        a20.intoMemorySegment(tile, tileAt + 8 * BYTES, ORDER);
        a21.intoMemorySegment(tile, tileAt + 9 * BYTES, ORDER);
        a22.intoMemorySegment(tile, tileAt + 10 * BYTES, ORDER);
        a23.intoMemorySegment(tile, tileAt + 11 * BYTES, ORDER);
        a30.intoMemorySegment(tile, tileAt + 12 * BYTES, ORDER);
        a31.intoMemorySegment(tile, tileAt + 13 * BYTES, ORDER);
        a32.intoMemorySegment(tile, tileAt + 14 * BYTES, ORDER);
        a33.intoMemorySegment(tile, tileAt + 15 * BYTES, ORDER);
        a40.intoMemorySegment(tile, tileAt + 16 * BYTES, ORDER);
        a41.intoMemorySegment(tile, tileAt + 17 * BYTES, ORDER);
        a42.intoMemorySegment(tile, tileAt + 18 * BYTES, ORDER);
        a43.intoMemorySegment(tile, tileAt + 19 * BYTES, ORDER);
        a50.intoMemorySegment(tile, tileAt + 20 * BYTES, ORDER);
        a51.intoMemorySegment(tile, tileAt + 21 * BYTES, ORDER);
        a52.intoMemorySegment(tile, tileAt + 22 * BYTES, ORDER);
        a53.intoMemorySegment(tile, tileAt + 23 * BYTES, ORDER);
    }

    private static void rank4x2(
            MemorySegment w, long wAt, long wRow, MemorySegment d, long dAt, int cols, MemorySegment y, long yAt, long yRow) {
        w = Lanes.plain(w);
        d = Lanes.plain(d);
        y = Lanes.plain(y);
        FloatVector d00 = FloatVector.broadcast(F, d.get(FLOAT, dAt));
        FloatVector d01 = FloatVector.broadcast(F, d.get(FLOAT, dAt + 4));
        FloatVector d02 = FloatVector.broadcast(F, d.get(FLOAT, dAt + 8));
        FloatVector d03 = FloatVector.broadcast(F, d.get(FLOAT, dAt + 12));
        FloatVector d10 = FloatVector.broadcast(F, d.get(FLOAT, dAt + 16));
        FloatVector d11 = FloatVector.broadcast(F, d.get(FLOAT, dAt + 20));
        FloatVector d12 = FloatVector.broadcast(F, d.get(FLOAT, dAt + 24));
        FloatVector d13 = FloatVector.broadcast(F, d.get(FLOAT, dAt + 28));
        long w0 = wAt;
        long w1 = wAt + wRow;
        long w2 = wAt + 2 * wRow;
        long w3 = wAt + 3 * wRow;
        long y0 = yAt;
        long y1 = yAt + yRow;
        for (int c = 0; c < cols; c += N) {
            long at = 4L * c;
            FloatVector s0 = FloatVector.fromMemorySegment(F, y, y0 + at, ORDER);
            FloatVector s1 = FloatVector.fromMemorySegment(F, y, y1 + at, ORDER);
            FloatVector v = FloatVector.fromMemorySegment(F, w, w0 + at, ORDER);
            s0 = d00.fma(v, s0);
            s1 = d10.fma(v, s1);
            v = FloatVector.fromMemorySegment(F, w, w1 + at, ORDER);
            s0 = d01.fma(v, s0);
            s1 = d11.fma(v, s1);
            v = FloatVector.fromMemorySegment(F, w, w2 + at, ORDER);
            s0 = d02.fma(v, s0);
            s1 = d12.fma(v, s1);
            v = FloatVector.fromMemorySegment(F, w, w3 + at, ORDER);
            s0 = d03.fma(v, s0);
            s1 = d13.fma(v, s1);
            s0.intoMemorySegment(y, y0 + at, ORDER);
            s1.intoMemorySegment(y, y1 + at, ORDER);
        }
    }

    private static void rank4x1(
            MemorySegment w, long wAt, long wRow, MemorySegment d, long dAt, int cols, MemorySegment y, long yAt) {
        w = Lanes.plain(w);
        d = Lanes.plain(d);
        y = Lanes.plain(y);
        FloatVector d00 = FloatVector.broadcast(F, d.get(FLOAT, dAt));
        FloatVector d01 = FloatVector.broadcast(F, d.get(FLOAT, dAt + 4));
        FloatVector d02 = FloatVector.broadcast(F, d.get(FLOAT, dAt + 8));
        FloatVector d03 = FloatVector.broadcast(F, d.get(FLOAT, dAt + 12));
        long w0 = wAt;
        long w1 = wAt + wRow;
        long w2 = wAt + 2 * wRow;
        long w3 = wAt + 3 * wRow;
        long y0 = yAt;
        for (int c = 0; c < cols; c += N) {
            long at = 4L * c;
            FloatVector s0 = FloatVector.fromMemorySegment(F, y, y0 + at, ORDER);
            FloatVector v = FloatVector.fromMemorySegment(F, w, w0 + at, ORDER);
            s0 = d00.fma(v, s0);
            v = FloatVector.fromMemorySegment(F, w, w1 + at, ORDER);
            s0 = d01.fma(v, s0);
            v = FloatVector.fromMemorySegment(F, w, w2 + at, ORDER);
            s0 = d02.fma(v, s0);
            v = FloatVector.fromMemorySegment(F, w, w3 + at, ORDER);
            s0 = d03.fma(v, s0);
            s0.intoMemorySegment(y, y0 + at, ORDER);
        }
    }

    /** Two tokens at a time, with 32 registers too: four are more than C1 can compile (see the class). */
    private static void rank4x2Bf16(
            MemorySegment w, long wAt, long wRow, MemorySegment d, long dAt, int cols, MemorySegment y, long yAt, long yRow) {
        w = Lanes.plain(w);
        d = Lanes.plain(d);
        y = Lanes.plain(y);
        FloatVector d00 = FloatVector.broadcast(F, d.get(FLOAT, dAt));
        FloatVector d01 = FloatVector.broadcast(F, d.get(FLOAT, dAt + 4));
        FloatVector d02 = FloatVector.broadcast(F, d.get(FLOAT, dAt + 8));
        FloatVector d03 = FloatVector.broadcast(F, d.get(FLOAT, dAt + 12));
        FloatVector d10 = FloatVector.broadcast(F, d.get(FLOAT, dAt + 16));
        FloatVector d11 = FloatVector.broadcast(F, d.get(FLOAT, dAt + 20));
        FloatVector d12 = FloatVector.broadcast(F, d.get(FLOAT, dAt + 24));
        FloatVector d13 = FloatVector.broadcast(F, d.get(FLOAT, dAt + 28));
        long w0 = wAt;
        long w1 = wAt + wRow;
        long w2 = wAt + 2 * wRow;
        long w3 = wAt + 3 * wRow;
        long y0 = yAt;
        long y1 = yAt + yRow;
        for (int c = 0; c < cols; c += 2 * N) {
            long at = 4L * c;
            long half = 2L * c;
            IntVector b0 = IntVector.fromMemorySegment(I, w, w0 + half, ORDER);
            IntVector b1 = IntVector.fromMemorySegment(I, w, w1 + half, ORDER);
            IntVector b2 = IntVector.fromMemorySegment(I, w, w2 + half, ORDER);
            IntVector b3 = IntVector.fromMemorySegment(I, w, w3 + half, ORDER);
            FloatVector s0 = FloatVector.fromMemorySegment(F, y, y0 + at, ORDER);
            FloatVector s1 = FloatVector.fromMemorySegment(F, y, y1 + at, ORDER);
            FloatVector v = b0.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
            s0 = d00.fma(v, s0);
            s1 = d10.fma(v, s1);
            v = b1.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
            s0 = d01.fma(v, s0);
            s1 = d11.fma(v, s1);
            v = b2.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
            s0 = d02.fma(v, s0);
            s1 = d12.fma(v, s1);
            v = b3.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
            s0 = d03.fma(v, s0);
            s1 = d13.fma(v, s1);
            s0.intoMemorySegment(y, y0 + at, ORDER);
            s1.intoMemorySegment(y, y1 + at, ORDER);
            s0 = FloatVector.fromMemorySegment(F, y, y0 + at + BYTES, ORDER);
            s1 = FloatVector.fromMemorySegment(F, y, y1 + at + BYTES, ORDER);
            v = b0.and(HIGH).reinterpretAsFloats();
            s0 = d00.fma(v, s0);
            s1 = d10.fma(v, s1);
            v = b1.and(HIGH).reinterpretAsFloats();
            s0 = d01.fma(v, s0);
            s1 = d11.fma(v, s1);
            v = b2.and(HIGH).reinterpretAsFloats();
            s0 = d02.fma(v, s0);
            s1 = d12.fma(v, s1);
            v = b3.and(HIGH).reinterpretAsFloats();
            s0 = d03.fma(v, s0);
            s1 = d13.fma(v, s1);
            s0.intoMemorySegment(y, y0 + at + BYTES, ORDER);
            s1.intoMemorySegment(y, y1 + at + BYTES, ORDER);
        }
    }

    private static void rank4x1Bf16(
            MemorySegment w, long wAt, long wRow, MemorySegment d, long dAt, int cols, MemorySegment y, long yAt) {
        w = Lanes.plain(w);
        d = Lanes.plain(d);
        y = Lanes.plain(y);
        FloatVector d00 = FloatVector.broadcast(F, d.get(FLOAT, dAt));
        FloatVector d01 = FloatVector.broadcast(F, d.get(FLOAT, dAt + 4));
        FloatVector d02 = FloatVector.broadcast(F, d.get(FLOAT, dAt + 8));
        FloatVector d03 = FloatVector.broadcast(F, d.get(FLOAT, dAt + 12));
        long w0 = wAt;
        long w1 = wAt + wRow;
        long w2 = wAt + 2 * wRow;
        long w3 = wAt + 3 * wRow;
        long y0 = yAt;
        for (int c = 0; c < cols; c += 2 * N) {
            long at = 4L * c;
            long half = 2L * c;
            IntVector b0 = IntVector.fromMemorySegment(I, w, w0 + half, ORDER);
            IntVector b1 = IntVector.fromMemorySegment(I, w, w1 + half, ORDER);
            IntVector b2 = IntVector.fromMemorySegment(I, w, w2 + half, ORDER);
            IntVector b3 = IntVector.fromMemorySegment(I, w, w3 + half, ORDER);
            FloatVector s0 = FloatVector.fromMemorySegment(F, y, y0 + at, ORDER);
            FloatVector v = b0.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
            s0 = d00.fma(v, s0);
            v = b1.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
            s0 = d01.fma(v, s0);
            v = b2.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
            s0 = d02.fma(v, s0);
            v = b3.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
            s0 = d03.fma(v, s0);
            s0.intoMemorySegment(y, y0 + at, ORDER);
            s0 = FloatVector.fromMemorySegment(F, y, y0 + at + BYTES, ORDER);
            v = b0.and(HIGH).reinterpretAsFloats();
            s0 = d00.fma(v, s0);
            v = b1.and(HIGH).reinterpretAsFloats();
            s0 = d01.fma(v, s0);
            v = b2.and(HIGH).reinterpretAsFloats();
            s0 = d02.fma(v, s0);
            v = b3.and(HIGH).reinterpretAsFloats();
            s0 = d03.fma(v, s0);
            s0.intoMemorySegment(y, y0 + at + BYTES, ORDER);
        }
    }
}

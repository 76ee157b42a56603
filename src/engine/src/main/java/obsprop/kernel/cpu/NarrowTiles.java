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
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorOperators;

/**
 * The tiles of {@link Tiles} and {@link StripTiles} for 16 vector registers: four rows by two vectors.
 *
 * <p>C2 moves a loop body's loads to its top, so more accumulators than eight end up on the stack, which costs half of the
 * speed; and it unrolls a loop of less than some sixty nodes until the same happens. Two steps by hand are too long for
 * that, and just fit.
 */
final class NarrowTiles {
    /** Rows of a tile. */
    static final int ROWS = 4;
    /** Vectors in a row of a tile. */
    static final int VECTORS = 2;


    private NarrowTiles() {}

    /** See {@link Tiles#multiply}. */
    static void multiply(
            MemorySegment p, long pAt, long pRow, int rows, MemorySegment q, long qAt, int k, MemorySegment tile, long tileAt) {
        p = Lanes.plain(p);
        q = Lanes.plain(q);
        tile = Lanes.plain(tile);
        long p0 = pAt;
        long p1 = pAt + Math.min(1, rows - 1) * pRow;
        long p2 = pAt + Math.min(2, rows - 1) * pRow;
        long p3 = pAt + Math.min(3, rows - 1) * pRow;
        FloatVector a00 = FloatVector.zero(F);
        FloatVector a01 = a00;
        FloatVector a10 = a00;
        FloatVector a11 = a00;
        FloatVector a20 = a00;
        FloatVector a21 = a00;
        FloatVector a30 = a00;
        FloatVector a31 = a00;
        int even = k & -2;
        for (int i = 0; i < even; i += 2) {
            long at = qAt + 2L * BYTES * i;
            FloatVector q0 = FloatVector.fromMemorySegment(F, q, at, ORDER);
            FloatVector q1 = FloatVector.fromMemorySegment(F, q, at + BYTES, ORDER);
            FloatVector x = FloatVector.broadcast(F, p.get(FLOAT, p0 + 4L * i));
            a00 = x.fma(q0, a00);
            a01 = x.fma(q1, a01);
            x = FloatVector.broadcast(F, p.get(FLOAT, p1 + 4L * i));
            a10 = x.fma(q0, a10);
            a11 = x.fma(q1, a11);
            x = FloatVector.broadcast(F, p.get(FLOAT, p2 + 4L * i));
            a20 = x.fma(q0, a20);
            a21 = x.fma(q1, a21);
            x = FloatVector.broadcast(F, p.get(FLOAT, p3 + 4L * i));
            a30 = x.fma(q0, a30);
            a31 = x.fma(q1, a31);
            q0 = FloatVector.fromMemorySegment(F, q, at + 2 * BYTES, ORDER);
            q1 = FloatVector.fromMemorySegment(F, q, at + 3 * BYTES, ORDER);
            x = FloatVector.broadcast(F, p.get(FLOAT, p0 + 4L * i + 4));
            a00 = x.fma(q0, a00);
            a01 = x.fma(q1, a01);
            x = FloatVector.broadcast(F, p.get(FLOAT, p1 + 4L * i + 4));
            a10 = x.fma(q0, a10);
            a11 = x.fma(q1, a11);
            x = FloatVector.broadcast(F, p.get(FLOAT, p2 + 4L * i + 4));
            a20 = x.fma(q0, a20);
            a21 = x.fma(q1, a21);
            x = FloatVector.broadcast(F, p.get(FLOAT, p3 + 4L * i + 4));
            a30 = x.fma(q0, a30);
            a31 = x.fma(q1, a31);
        }
        if (even < k) {
            long at = qAt + 2L * BYTES * even;
            FloatVector q0 = FloatVector.fromMemorySegment(F, q, at, ORDER);
            FloatVector q1 = FloatVector.fromMemorySegment(F, q, at + BYTES, ORDER);
            FloatVector x = FloatVector.broadcast(F, p.get(FLOAT, p0 + 4L * even));
            a00 = x.fma(q0, a00);
            a01 = x.fma(q1, a01);
            x = FloatVector.broadcast(F, p.get(FLOAT, p1 + 4L * even));
            a10 = x.fma(q0, a10);
            a11 = x.fma(q1, a11);
            x = FloatVector.broadcast(F, p.get(FLOAT, p2 + 4L * even));
            a20 = x.fma(q0, a20);
            a21 = x.fma(q1, a21);
            x = FloatVector.broadcast(F, p.get(FLOAT, p3 + 4L * even));
            a30 = x.fma(q0, a30);
            a31 = x.fma(q1, a31);
        }
        a00.intoMemorySegment(tile, tileAt, ORDER);
        a01.intoMemorySegment(tile, tileAt + BYTES, ORDER);
        a10.intoMemorySegment(tile, tileAt + 2 * BYTES, ORDER);
        a11.intoMemorySegment(tile, tileAt + 3 * BYTES, ORDER);
        a20.intoMemorySegment(tile, tileAt + 4 * BYTES, ORDER);
        a21.intoMemorySegment(tile, tileAt + 5 * BYTES, ORDER);
        a30.intoMemorySegment(tile, tileAt + 6 * BYTES, ORDER);
        a31.intoMemorySegment(tile, tileAt + 7 * BYTES, ORDER);
    }

    /**
     * The same with all four rows of P, which lie in scratch; on the way {@code 4 k} elements of BF16 from {@code next} on are
     * widened to {@code wide}, so that memory is waited for while there is something to compute.
     *
     * @param k an even number
     */
    static void multiplyAhead(
            MemorySegment p, long pAt, long pRow, MemorySegment q, long qAt, int k, MemorySegment tile, long tileAt,
            MemorySegment next, long nextAt, MemorySegment wide, long wideAt) {
        next = Lanes.plain(next);
        wide = Lanes.plain(wide);
        p = Lanes.plain(p);
        q = Lanes.plain(q);
        tile = Lanes.plain(tile);
        long p0 = pAt;
        long p1 = pAt + pRow;
        long p2 = pAt + 2 * pRow;
        long p3 = pAt + 3 * pRow;
        FloatVector a00 = FloatVector.zero(F);
        FloatVector a01 = a00;
        FloatVector a10 = a00;
        FloatVector a11 = a00;
        FloatVector a20 = a00;
        FloatVector a21 = a00;
        FloatVector a30 = a00;
        FloatVector a31 = a00;
        for (int i = 0; i < k; i += 2) {
            long at = qAt + 2L * BYTES * i;
            for (int x = 0; x < 2 * ROWS; x += N) {
                ShortVector h = ShortVector.fromMemorySegment(Convert.H, next, nextAt + 2L * ROWS * i + 2L * x, ORDER);
                IntVector bits = (IntVector) h.convertShape(VectorOperators.ZERO_EXTEND_S2I, I, 0);
                bits.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats()
                        .intoMemorySegment(wide, wideAt + 4L * ROWS * i + 4L * x, ORDER);
            }
            FloatVector q0 = FloatVector.fromMemorySegment(F, q, at, ORDER);
            FloatVector q1 = FloatVector.fromMemorySegment(F, q, at + BYTES, ORDER);
            FloatVector x = FloatVector.broadcast(F, p.get(FLOAT, p0 + 4L * i));
            a00 = x.fma(q0, a00);
            a01 = x.fma(q1, a01);
            x = FloatVector.broadcast(F, p.get(FLOAT, p1 + 4L * i));
            a10 = x.fma(q0, a10);
            a11 = x.fma(q1, a11);
            x = FloatVector.broadcast(F, p.get(FLOAT, p2 + 4L * i));
            a20 = x.fma(q0, a20);
            a21 = x.fma(q1, a21);
            x = FloatVector.broadcast(F, p.get(FLOAT, p3 + 4L * i));
            a30 = x.fma(q0, a30);
            a31 = x.fma(q1, a31);
            q0 = FloatVector.fromMemorySegment(F, q, at + 2 * BYTES, ORDER);
            q1 = FloatVector.fromMemorySegment(F, q, at + 3 * BYTES, ORDER);
            x = FloatVector.broadcast(F, p.get(FLOAT, p0 + 4L * i + 4));
            a00 = x.fma(q0, a00);
            a01 = x.fma(q1, a01);
            x = FloatVector.broadcast(F, p.get(FLOAT, p1 + 4L * i + 4));
            a10 = x.fma(q0, a10);
            a11 = x.fma(q1, a11);
            x = FloatVector.broadcast(F, p.get(FLOAT, p2 + 4L * i + 4));
            a20 = x.fma(q0, a20);
            a21 = x.fma(q1, a21);
            x = FloatVector.broadcast(F, p.get(FLOAT, p3 + 4L * i + 4));
            a30 = x.fma(q0, a30);
            a31 = x.fma(q1, a31);
        }
        a00.intoMemorySegment(tile, tileAt, ORDER);
        a01.intoMemorySegment(tile, tileAt + BYTES, ORDER);
        a10.intoMemorySegment(tile, tileAt + 2 * BYTES, ORDER);
        a11.intoMemorySegment(tile, tileAt + 3 * BYTES, ORDER);
        a20.intoMemorySegment(tile, tileAt + 4 * BYTES, ORDER);
        a21.intoMemorySegment(tile, tileAt + 5 * BYTES, ORDER);
        a30.intoMemorySegment(tile, tileAt + 6 * BYTES, ORDER);
        a31.intoMemorySegment(tile, tileAt + 7 * BYTES, ORDER);
    }

    /** See {@link StripTiles#sums}. */
    static void sums(
            MemorySegment d, long dAt, long dRow, int rows, MemorySegment w, long wAt, long wRow, int k,
            MemorySegment tile) {
        d = Lanes.plain(d);
        w = Lanes.plain(w);
        tile = Lanes.plain(tile);
        long d0 = dAt;
        long d1 = dAt + Math.min(1, rows - 1) * dRow;
        long d2 = dAt + Math.min(2, rows - 1) * dRow;
        long d3 = dAt + Math.min(3, rows - 1) * dRow;
        FloatVector a00 = FloatVector.zero(F);
        FloatVector a01 = a00;
        FloatVector a10 = a00;
        FloatVector a11 = a00;
        FloatVector a20 = a00;
        FloatVector a21 = a00;
        FloatVector a30 = a00;
        FloatVector a31 = a00;
        int even = k & -2;
        for (int i = 0; i < even; i += 2) {
            long at = wAt + i * wRow;
            long next = at + wRow;
            FloatVector q0 = FloatVector.fromMemorySegment(F, w, at, ORDER);
            FloatVector q1 = FloatVector.fromMemorySegment(F, w, at + BYTES, ORDER);
            FloatVector x = FloatVector.broadcast(F, d.get(FLOAT, d0 + 4L * i));
            a00 = x.fma(q0, a00);
            a01 = x.fma(q1, a01);
            x = FloatVector.broadcast(F, d.get(FLOAT, d1 + 4L * i));
            a10 = x.fma(q0, a10);
            a11 = x.fma(q1, a11);
            x = FloatVector.broadcast(F, d.get(FLOAT, d2 + 4L * i));
            a20 = x.fma(q0, a20);
            a21 = x.fma(q1, a21);
            x = FloatVector.broadcast(F, d.get(FLOAT, d3 + 4L * i));
            a30 = x.fma(q0, a30);
            a31 = x.fma(q1, a31);
            q0 = FloatVector.fromMemorySegment(F, w, next, ORDER);
            q1 = FloatVector.fromMemorySegment(F, w, next + BYTES, ORDER);
            x = FloatVector.broadcast(F, d.get(FLOAT, d0 + 4L * i + 4));
            a00 = x.fma(q0, a00);
            a01 = x.fma(q1, a01);
            x = FloatVector.broadcast(F, d.get(FLOAT, d1 + 4L * i + 4));
            a10 = x.fma(q0, a10);
            a11 = x.fma(q1, a11);
            x = FloatVector.broadcast(F, d.get(FLOAT, d2 + 4L * i + 4));
            a20 = x.fma(q0, a20);
            a21 = x.fma(q1, a21);
            x = FloatVector.broadcast(F, d.get(FLOAT, d3 + 4L * i + 4));
            a30 = x.fma(q0, a30);
            a31 = x.fma(q1, a31);
        }
        if (even < k) {
            long at = wAt + even * wRow;
            FloatVector q0 = FloatVector.fromMemorySegment(F, w, at, ORDER);
            FloatVector q1 = FloatVector.fromMemorySegment(F, w, at + BYTES, ORDER);
            FloatVector x = FloatVector.broadcast(F, d.get(FLOAT, d0 + 4L * even));
            a00 = x.fma(q0, a00);
            a01 = x.fma(q1, a01);
            x = FloatVector.broadcast(F, d.get(FLOAT, d1 + 4L * even));
            a10 = x.fma(q0, a10);
            a11 = x.fma(q1, a11);
            x = FloatVector.broadcast(F, d.get(FLOAT, d2 + 4L * even));
            a20 = x.fma(q0, a20);
            a21 = x.fma(q1, a21);
            x = FloatVector.broadcast(F, d.get(FLOAT, d3 + 4L * even));
            a30 = x.fma(q0, a30);
            a31 = x.fma(q1, a31);
        }
        a00.intoMemorySegment(tile, 0, ORDER);
        a01.intoMemorySegment(tile, BYTES, ORDER);
        a10.intoMemorySegment(tile, 2 * BYTES, ORDER);
        a11.intoMemorySegment(tile, 3 * BYTES, ORDER);
        a20.intoMemorySegment(tile, 4 * BYTES, ORDER);
        a21.intoMemorySegment(tile, 5 * BYTES, ORDER);
        a30.intoMemorySegment(tile, 6 * BYTES, ORDER);
        a31.intoMemorySegment(tile, 7 * BYTES, ORDER);
    }

    /** See {@link StripTiles#sumsBf16}. */
    static void sumsBf16(
            MemorySegment d, long dAt, long dRow, int rows, MemorySegment w, long wAt, long wRow, int k,
            MemorySegment tile) {
        d = Lanes.plain(d);
        w = Lanes.plain(w);
        tile = Lanes.plain(tile);
        long d0 = dAt;
        long d1 = dAt + Math.min(1, rows - 1) * dRow;
        long d2 = dAt + Math.min(2, rows - 1) * dRow;
        long d3 = dAt + Math.min(3, rows - 1) * dRow;
        FloatVector a00 = FloatVector.zero(F);
        FloatVector a01 = a00;
        FloatVector a10 = a00;
        FloatVector a11 = a00;
        FloatVector a20 = a00;
        FloatVector a21 = a00;
        FloatVector a30 = a00;
        FloatVector a31 = a00;
        int even = k & -2;
        for (int i = 0; i < even; i += 2) {
            long at = wAt + i * wRow;
            long next = at + wRow;
            IntVector both = IntVector.fromMemorySegment(I, w, at, ORDER);
            FloatVector q0 = both.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
            FloatVector q1 = both.and(HIGH).reinterpretAsFloats();
            FloatVector x = FloatVector.broadcast(F, d.get(FLOAT, d0 + 4L * i));
            a00 = x.fma(q0, a00);
            a01 = x.fma(q1, a01);
            x = FloatVector.broadcast(F, d.get(FLOAT, d1 + 4L * i));
            a10 = x.fma(q0, a10);
            a11 = x.fma(q1, a11);
            x = FloatVector.broadcast(F, d.get(FLOAT, d2 + 4L * i));
            a20 = x.fma(q0, a20);
            a21 = x.fma(q1, a21);
            x = FloatVector.broadcast(F, d.get(FLOAT, d3 + 4L * i));
            a30 = x.fma(q0, a30);
            a31 = x.fma(q1, a31);
            both = IntVector.fromMemorySegment(I, w, next, ORDER);
            q0 = both.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
            q1 = both.and(HIGH).reinterpretAsFloats();
            x = FloatVector.broadcast(F, d.get(FLOAT, d0 + 4L * i + 4));
            a00 = x.fma(q0, a00);
            a01 = x.fma(q1, a01);
            x = FloatVector.broadcast(F, d.get(FLOAT, d1 + 4L * i + 4));
            a10 = x.fma(q0, a10);
            a11 = x.fma(q1, a11);
            x = FloatVector.broadcast(F, d.get(FLOAT, d2 + 4L * i + 4));
            a20 = x.fma(q0, a20);
            a21 = x.fma(q1, a21);
            x = FloatVector.broadcast(F, d.get(FLOAT, d3 + 4L * i + 4));
            a30 = x.fma(q0, a30);
            a31 = x.fma(q1, a31);
        }
        if (even < k) {
            long at = wAt + even * wRow;
            IntVector both = IntVector.fromMemorySegment(I, w, at, ORDER);
            FloatVector q0 = both.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
            FloatVector q1 = both.and(HIGH).reinterpretAsFloats();
            FloatVector x = FloatVector.broadcast(F, d.get(FLOAT, d0 + 4L * even));
            a00 = x.fma(q0, a00);
            a01 = x.fma(q1, a01);
            x = FloatVector.broadcast(F, d.get(FLOAT, d1 + 4L * even));
            a10 = x.fma(q0, a10);
            a11 = x.fma(q1, a11);
            x = FloatVector.broadcast(F, d.get(FLOAT, d2 + 4L * even));
            a20 = x.fma(q0, a20);
            a21 = x.fma(q1, a21);
            x = FloatVector.broadcast(F, d.get(FLOAT, d3 + 4L * even));
            a30 = x.fma(q0, a30);
            a31 = x.fma(q1, a31);
        }
        a00.intoMemorySegment(tile, 0, ORDER);
        a01.intoMemorySegment(tile, BYTES, ORDER);
        a10.intoMemorySegment(tile, 2 * BYTES, ORDER);
        a11.intoMemorySegment(tile, 3 * BYTES, ORDER);
        a20.intoMemorySegment(tile, 4 * BYTES, ORDER);
        a21.intoMemorySegment(tile, 5 * BYTES, ORDER);
        a30.intoMemorySegment(tile, 6 * BYTES, ORDER);
        a31.intoMemorySegment(tile, 7 * BYTES, ORDER);
    }
}

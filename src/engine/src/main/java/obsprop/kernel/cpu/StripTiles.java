package obsprop.kernel.cpu;

import static obsprop.kernel.cpu.Convert.HIGH;
import static obsprop.kernel.cpu.Convert.I;
import static obsprop.kernel.cpu.Lanes.BYTES;
import static obsprop.kernel.cpu.Lanes.F;
import static obsprop.kernel.cpu.Lanes.FLOAT;
import static obsprop.kernel.cpu.Lanes.ORDER;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;

/**
 * Register tiles for {@link StripProducts}: single elements of four rows of activations meet four vectors of a weight's row
 * (two, of 16 registers: {@link NarrowTiles}), row after row. Each tile is one method, as a vector that crosses a call is boxed;
 * all offsets and strides count bytes.
 */
final class StripTiles {
    /** Rows of activations in a tile. */
    static final int ROWS = 4;
    /** Columns in a tile. */
    static final int COLUMNS = Tiles.WIDTH;
    /** Floats that a tile is written to. */
    static final int SIZE = ROWS * COLUMNS;

    private StripTiles() {}

    /**
     * {@code tile[t, COLUMNS] = sum over i of d[t, i] w[i, COLUMNS]}, in the order of i.
     *
     * @param dRows rows of d; the others repeat the last one
     */
    static void sums(
            MemorySegment d, long dAt, long dRow, int dRows, MemorySegment w, long wAt, long wRow, int k,
            MemorySegment tile) {
        if (Tiles.WIDE) {
            sums4x4(d, dAt, dRow, dRows, w, wAt, wRow, k, tile, 0);
        } else {
            NarrowTiles.sums(d, dAt, dRow, dRows, w, wAt, wRow, k, tile);
        }
    }

    /** For 32 registers; {@link Tiles} takes it for its last rows. */
    static void sums4x4(
            MemorySegment d, long dAt, long dRow, int dRows, MemorySegment w, long wAt, long wRow, int k,
            MemorySegment tile, long tileAt) {
        d = Lanes.plain(d);
        w = Lanes.plain(w);
        tile = Lanes.plain(tile);
        long d0 = dAt;
        long d1 = dAt + Math.min(1, dRows - 1) * dRow;
        long d2 = dAt + Math.min(2, dRows - 1) * dRow;
        long d3 = dAt + Math.min(3, dRows - 1) * dRow;
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
        for (int i = 0; i < k; i++) {
            long at = wAt + i * wRow;
            FloatVector v0 = FloatVector.fromMemorySegment(F, w, at, ORDER);
            FloatVector v1 = FloatVector.fromMemorySegment(F, w, at + BYTES, ORDER);
            FloatVector v2 = FloatVector.fromMemorySegment(F, w, at + 2 * BYTES, ORDER);
            FloatVector v3 = FloatVector.fromMemorySegment(F, w, at + 3 * BYTES, ORDER);
            FloatVector s = FloatVector.broadcast(F, d.get(FLOAT, d0 + 4L * i));
            a00 = s.fma(v0, a00);
            a01 = s.fma(v1, a01);
            a02 = s.fma(v2, a02);
            a03 = s.fma(v3, a03);
            s = FloatVector.broadcast(F, d.get(FLOAT, d1 + 4L * i));
            a10 = s.fma(v0, a10);
            a11 = s.fma(v1, a11);
            a12 = s.fma(v2, a12);
            a13 = s.fma(v3, a13);
            s = FloatVector.broadcast(F, d.get(FLOAT, d2 + 4L * i));
            a20 = s.fma(v0, a20);
            a21 = s.fma(v1, a21);
            a22 = s.fma(v2, a22);
            a23 = s.fma(v3, a23);
            s = FloatVector.broadcast(F, d.get(FLOAT, d3 + 4L * i));
            a30 = s.fma(v0, a30);
            a31 = s.fma(v1, a31);
            a32 = s.fma(v2, a32);
            a33 = s.fma(v3, a33);
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
    }

    /**
     * {@link #sums} for BF16, widened in registers, a pair to an int: the even elements of 2N are the low halves, shifted up, the
     * odd ones the high halves, masked. So of every 2N columns the tile has first the even ones, then the odd ones.
     */
    static void sumsBf16(
            MemorySegment d, long dAt, long dRow, int dRows, MemorySegment w, long wAt, long wRow, int k,
            MemorySegment tile) {
        if (Tiles.WIDE) {
            sums4x4Bf16(d, dAt, dRow, dRows, w, wAt, wRow, k, tile);
        } else {
            NarrowTiles.sumsBf16(d, dAt, dRow, dRows, w, wAt, wRow, k, tile);
        }
    }

    private static void sums4x4Bf16(
            MemorySegment d, long dAt, long dRow, int dRows, MemorySegment w, long wAt, long wRow, int k,
            MemorySegment tile) {
        d = Lanes.plain(d);
        w = Lanes.plain(w);
        tile = Lanes.plain(tile);
        long d0 = dAt;
        long d1 = dAt + Math.min(1, dRows - 1) * dRow;
        long d2 = dAt + Math.min(2, dRows - 1) * dRow;
        long d3 = dAt + Math.min(3, dRows - 1) * dRow;
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
        for (int i = 0; i < k; i++) {
            long at = wAt + i * wRow;
            IntVector both = IntVector.fromMemorySegment(I, w, at, ORDER);
            FloatVector v0 = both.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
            FloatVector v1 = both.and(HIGH).reinterpretAsFloats();
            both = IntVector.fromMemorySegment(I, w, at + BYTES, ORDER);
            FloatVector v2 = both.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
            FloatVector v3 = both.and(HIGH).reinterpretAsFloats();
            FloatVector s = FloatVector.broadcast(F, d.get(FLOAT, d0 + 4L * i));
            a00 = s.fma(v0, a00);
            a01 = s.fma(v1, a01);
            a02 = s.fma(v2, a02);
            a03 = s.fma(v3, a03);
            s = FloatVector.broadcast(F, d.get(FLOAT, d1 + 4L * i));
            a10 = s.fma(v0, a10);
            a11 = s.fma(v1, a11);
            a12 = s.fma(v2, a12);
            a13 = s.fma(v3, a13);
            s = FloatVector.broadcast(F, d.get(FLOAT, d2 + 4L * i));
            a20 = s.fma(v0, a20);
            a21 = s.fma(v1, a21);
            a22 = s.fma(v2, a22);
            a23 = s.fma(v3, a23);
            s = FloatVector.broadcast(F, d.get(FLOAT, d3 + 4L * i));
            a30 = s.fma(v0, a30);
            a31 = s.fma(v1, a31);
            a32 = s.fma(v2, a32);
            a33 = s.fma(v3, a33);
        }
        a00.intoMemorySegment(tile, 0, ORDER);
        a01.intoMemorySegment(tile, BYTES, ORDER);
        a02.intoMemorySegment(tile, 2 * BYTES, ORDER);
        a03.intoMemorySegment(tile, 3 * BYTES, ORDER);
        a10.intoMemorySegment(tile, 4 * BYTES, ORDER);
        a11.intoMemorySegment(tile, 5 * BYTES, ORDER);
        a12.intoMemorySegment(tile, 6 * BYTES, ORDER);
        a13.intoMemorySegment(tile, 7 * BYTES, ORDER);
        a20.intoMemorySegment(tile, 8 * BYTES, ORDER);
        a21.intoMemorySegment(tile, 9 * BYTES, ORDER);
        a22.intoMemorySegment(tile, 10 * BYTES, ORDER);
        a23.intoMemorySegment(tile, 11 * BYTES, ORDER);
        a30.intoMemorySegment(tile, 12 * BYTES, ORDER);
        a31.intoMemorySegment(tile, 13 * BYTES, ORDER);
        a32.intoMemorySegment(tile, 14 * BYTES, ORDER);
        a33.intoMemorySegment(tile, 15 * BYTES, ORDER);
    }
}

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
 * Register tiles for {@link StripProducts}: single elements of four rows of activations meet four or six vectors of a weight's row
 * (two, of 16 registers: {@link NarrowTiles}), row after row. Each tile is one method, as a vector that crosses a call is boxed;
 * all offsets and strides count bytes.
 */
final class StripTiles {
    /** Rows of activations in a tile. */
    static final int ROWS = 4;
    /** Columns in a tile. */
    static final int COLUMNS = Tiles.WIDTH;
    /** Columns in a wide tile. */
    static final int WIDE_COLUMNS = 6 * Lanes.N;
    /** Floats that a tile is written to, at most. */
    static final int SIZE = ROWS * WIDE_COLUMNS;

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
            sums4x4(d, dAt, dRow, dRows, w, wAt, wRow, k, tile);
        } else {
            NarrowTiles.sums(d, dAt, dRow, dRows, w, wAt, wRow, k, tile);
        }
    }

    private static void sums4x4(
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

    /** {@link #sums} of {@link #WIDE_COLUMNS} columns, for 32 registers. */
    static void sumsWide(
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
        FloatVector a04 = a00;
        FloatVector a05 = a00;
        FloatVector a10 = a00;
        FloatVector a11 = a00;
        FloatVector a12 = a00;
        FloatVector a13 = a00;
        FloatVector a14 = a00;
        FloatVector a15 = a00;
        FloatVector a20 = a00;
        FloatVector a21 = a00;
        FloatVector a22 = a00;
        FloatVector a23 = a00;
        FloatVector a24 = a00;
        FloatVector a25 = a00;
        FloatVector a30 = a00;
        FloatVector a31 = a00;
        FloatVector a32 = a00;
        FloatVector a33 = a00;
        FloatVector a34 = a00;
        FloatVector a35 = a00;
        for (int i = 0; i < k; i++) {
            long at = wAt + i * wRow;
            FloatVector v0 = FloatVector.fromMemorySegment(F, w, at, ORDER);
            FloatVector v1 = FloatVector.fromMemorySegment(F, w, at + BYTES, ORDER);
            FloatVector v2 = FloatVector.fromMemorySegment(F, w, at + 2 * BYTES, ORDER);
            FloatVector v3 = FloatVector.fromMemorySegment(F, w, at + 3 * BYTES, ORDER);
            FloatVector v4 = FloatVector.fromMemorySegment(F, w, at + 4 * BYTES, ORDER);
            FloatVector v5 = FloatVector.fromMemorySegment(F, w, at + 5 * BYTES, ORDER);
            FloatVector s = FloatVector.broadcast(F, d.get(FLOAT, d0 + 4L * i));
            a00 = s.fma(v0, a00);
            a01 = s.fma(v1, a01);
            a02 = s.fma(v2, a02);
            a03 = s.fma(v3, a03);
            a04 = s.fma(v4, a04);
            a05 = s.fma(v5, a05);
            s = FloatVector.broadcast(F, d.get(FLOAT, d1 + 4L * i));
            a10 = s.fma(v0, a10);
            a11 = s.fma(v1, a11);
            a12 = s.fma(v2, a12);
            a13 = s.fma(v3, a13);
            a14 = s.fma(v4, a14);
            a15 = s.fma(v5, a15);
            s = FloatVector.broadcast(F, d.get(FLOAT, d2 + 4L * i));
            a20 = s.fma(v0, a20);
            a21 = s.fma(v1, a21);
            a22 = s.fma(v2, a22);
            a23 = s.fma(v3, a23);
            a24 = s.fma(v4, a24);
            a25 = s.fma(v5, a25);
            s = FloatVector.broadcast(F, d.get(FLOAT, d3 + 4L * i));
            a30 = s.fma(v0, a30);
            a31 = s.fma(v1, a31);
            a32 = s.fma(v2, a32);
            a33 = s.fma(v3, a33);
            a34 = s.fma(v4, a34);
            a35 = s.fma(v5, a35);
        }
        a00.intoMemorySegment(tile, 0, ORDER);
        a01.intoMemorySegment(tile, BYTES, ORDER);
        a02.intoMemorySegment(tile, 2 * BYTES, ORDER);
        a03.intoMemorySegment(tile, 3 * BYTES, ORDER);
        a04.intoMemorySegment(tile, 4 * BYTES, ORDER);
        a05.intoMemorySegment(tile, 5 * BYTES, ORDER);
        a10.intoMemorySegment(tile, 6 * BYTES, ORDER);
        a11.intoMemorySegment(tile, 7 * BYTES, ORDER);
        a12.intoMemorySegment(tile, 8 * BYTES, ORDER);
        a13.intoMemorySegment(tile, 9 * BYTES, ORDER);
        a14.intoMemorySegment(tile, 10 * BYTES, ORDER);
        a15.intoMemorySegment(tile, 11 * BYTES, ORDER);
        a20.intoMemorySegment(tile, 12 * BYTES, ORDER);
        a21.intoMemorySegment(tile, 13 * BYTES, ORDER);
        a22.intoMemorySegment(tile, 14 * BYTES, ORDER);
        a23.intoMemorySegment(tile, 15 * BYTES, ORDER);
        a24.intoMemorySegment(tile, 16 * BYTES, ORDER);
        a25.intoMemorySegment(tile, 17 * BYTES, ORDER);
        a30.intoMemorySegment(tile, 18 * BYTES, ORDER);
        a31.intoMemorySegment(tile, 19 * BYTES, ORDER);
        a32.intoMemorySegment(tile, 20 * BYTES, ORDER);
        a33.intoMemorySegment(tile, 21 * BYTES, ORDER);
        a34.intoMemorySegment(tile, 22 * BYTES, ORDER);
        a35.intoMemorySegment(tile, 23 * BYTES, ORDER);
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

    /** {@link #sumsBf16} of {@link #WIDE_COLUMNS} columns, for 32 registers. */
    static void sumsWideBf16(
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
        FloatVector a04 = a00;
        FloatVector a05 = a00;
        FloatVector a10 = a00;
        FloatVector a11 = a00;
        FloatVector a12 = a00;
        FloatVector a13 = a00;
        FloatVector a14 = a00;
        FloatVector a15 = a00;
        FloatVector a20 = a00;
        FloatVector a21 = a00;
        FloatVector a22 = a00;
        FloatVector a23 = a00;
        FloatVector a24 = a00;
        FloatVector a25 = a00;
        FloatVector a30 = a00;
        FloatVector a31 = a00;
        FloatVector a32 = a00;
        FloatVector a33 = a00;
        FloatVector a34 = a00;
        FloatVector a35 = a00;
        for (int i = 0; i < k; i++) {
            long at = wAt + i * wRow;
            IntVector both = IntVector.fromMemorySegment(I, w, at, ORDER);
            FloatVector v0 = both.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
            FloatVector v1 = both.and(HIGH).reinterpretAsFloats();
            both = IntVector.fromMemorySegment(I, w, at + BYTES, ORDER);
            FloatVector v2 = both.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
            FloatVector v3 = both.and(HIGH).reinterpretAsFloats();
            both = IntVector.fromMemorySegment(I, w, at + 2 * BYTES, ORDER);
            FloatVector v4 = both.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
            FloatVector v5 = both.and(HIGH).reinterpretAsFloats();
            FloatVector s = FloatVector.broadcast(F, d.get(FLOAT, d0 + 4L * i));
            a00 = s.fma(v0, a00);
            a01 = s.fma(v1, a01);
            a02 = s.fma(v2, a02);
            a03 = s.fma(v3, a03);
            a04 = s.fma(v4, a04);
            a05 = s.fma(v5, a05);
            s = FloatVector.broadcast(F, d.get(FLOAT, d1 + 4L * i));
            a10 = s.fma(v0, a10);
            a11 = s.fma(v1, a11);
            a12 = s.fma(v2, a12);
            a13 = s.fma(v3, a13);
            a14 = s.fma(v4, a14);
            a15 = s.fma(v5, a15);
            s = FloatVector.broadcast(F, d.get(FLOAT, d2 + 4L * i));
            a20 = s.fma(v0, a20);
            a21 = s.fma(v1, a21);
            a22 = s.fma(v2, a22);
            a23 = s.fma(v3, a23);
            a24 = s.fma(v4, a24);
            a25 = s.fma(v5, a25);
            s = FloatVector.broadcast(F, d.get(FLOAT, d3 + 4L * i));
            a30 = s.fma(v0, a30);
            a31 = s.fma(v1, a31);
            a32 = s.fma(v2, a32);
            a33 = s.fma(v3, a33);
            a34 = s.fma(v4, a34);
            a35 = s.fma(v5, a35);
        }
        a00.intoMemorySegment(tile, 0, ORDER);
        a01.intoMemorySegment(tile, BYTES, ORDER);
        a02.intoMemorySegment(tile, 2 * BYTES, ORDER);
        a03.intoMemorySegment(tile, 3 * BYTES, ORDER);
        a04.intoMemorySegment(tile, 4 * BYTES, ORDER);
        a05.intoMemorySegment(tile, 5 * BYTES, ORDER);
        a10.intoMemorySegment(tile, 6 * BYTES, ORDER);
        a11.intoMemorySegment(tile, 7 * BYTES, ORDER);
        a12.intoMemorySegment(tile, 8 * BYTES, ORDER);
        a13.intoMemorySegment(tile, 9 * BYTES, ORDER);
        a14.intoMemorySegment(tile, 10 * BYTES, ORDER);
        a15.intoMemorySegment(tile, 11 * BYTES, ORDER);
        a20.intoMemorySegment(tile, 12 * BYTES, ORDER);
        a21.intoMemorySegment(tile, 13 * BYTES, ORDER);
        a22.intoMemorySegment(tile, 14 * BYTES, ORDER);
        a23.intoMemorySegment(tile, 15 * BYTES, ORDER);
        a24.intoMemorySegment(tile, 16 * BYTES, ORDER);
        a25.intoMemorySegment(tile, 17 * BYTES, ORDER);
        a30.intoMemorySegment(tile, 18 * BYTES, ORDER);
        a31.intoMemorySegment(tile, 19 * BYTES, ORDER);
        a32.intoMemorySegment(tile, 20 * BYTES, ORDER);
        a33.intoMemorySegment(tile, 21 * BYTES, ORDER);
        a34.intoMemorySegment(tile, 22 * BYTES, ORDER);
        a35.intoMemorySegment(tile, 23 * BYTES, ORDER);
    }
}

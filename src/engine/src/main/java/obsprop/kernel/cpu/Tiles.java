package obsprop.kernel.cpu;

import static obsprop.kernel.cpu.Lanes.BYTES;
import static obsprop.kernel.cpu.Lanes.F;
import static obsprop.kernel.cpu.Lanes.FLOAT;
import static obsprop.kernel.cpu.Lanes.N;
import static obsprop.kernel.cpu.Lanes.ORDER;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;

/**
 * The register tiles that every matrix product is made of. Each is one method, long because a vector that crosses a call
 * is boxed; all offsets and steps count bytes.
 *
 * <p>A tile adds {@code C[6, W] += P[6, k] Q[k, W]}: single elements of P are broadcast from where they lie, Q is packed
 * as rows of {@link #WIDTH} floats. Rows of P past {@code rows} repeat the last one, so C needs room for all six.
 */
final class Tiles {
    /** Rows of a tile. */
    static final int ROWS = 6;
    /** With 32 vector registers four vectors fit beside six rows; with 16 only two do. */
    private static final boolean WIDE = N >= 16;

    /** Columns of a tile: floats in a row of packed Q. */
    static final int WIDTH = (WIDE ? 4 : 2) * N;

    private Tiles() {}

    /** {@code C += P Q} for one tile; see the class. */
    static void add(
            MemorySegment p, long pAt, long pRow, long pStep, int rows, MemorySegment q, long qAt, int k, MemorySegment c,
            long cAt, long cRow) {
        if (WIDE) {
            add6x4(p, pAt, pRow, pStep, rows, q, qAt, k, c, cAt, cRow);
        } else {
            add6x2(p, pAt, pRow, pStep, rows, q, qAt, k, c, cAt, cRow);
        }
    }

    /** Twenty-four accumulators, for 32 registers. */
    private static void add6x4(
            MemorySegment p, long pAt, long pRow, long pStep, int rows, MemorySegment q, long qAt, int k, MemorySegment c,
            long cAt, long cRow) {
        long r1 = Math.min(1, rows - 1) * pRow;
        long r2 = Math.min(2, rows - 1) * pRow;
        long r3 = Math.min(3, rows - 1) * pRow;
        long r4 = Math.min(4, rows - 1) * pRow;
        long r5 = Math.min(5, rows - 1) * pRow;
        long c0 = cAt;
        long c1 = cAt + 1 * cRow;
        long c2 = cAt + 2 * cRow;
        long c3 = cAt + 3 * cRow;
        long c4 = cAt + 4 * cRow;
        long c5 = cAt + 5 * cRow;
        FloatVector a00 = FloatVector.fromMemorySegment(F, c, c0, ORDER);
        FloatVector a01 = FloatVector.fromMemorySegment(F, c, c0 + BYTES, ORDER);
        FloatVector a02 = FloatVector.fromMemorySegment(F, c, c0 + 2 * BYTES, ORDER);
        FloatVector a03 = FloatVector.fromMemorySegment(F, c, c0 + 3 * BYTES, ORDER);
        FloatVector a10 = FloatVector.fromMemorySegment(F, c, c1, ORDER);
        FloatVector a11 = FloatVector.fromMemorySegment(F, c, c1 + BYTES, ORDER);
        FloatVector a12 = FloatVector.fromMemorySegment(F, c, c1 + 2 * BYTES, ORDER);
        FloatVector a13 = FloatVector.fromMemorySegment(F, c, c1 + 3 * BYTES, ORDER);
        FloatVector a20 = FloatVector.fromMemorySegment(F, c, c2, ORDER);
        FloatVector a21 = FloatVector.fromMemorySegment(F, c, c2 + BYTES, ORDER);
        FloatVector a22 = FloatVector.fromMemorySegment(F, c, c2 + 2 * BYTES, ORDER);
        FloatVector a23 = FloatVector.fromMemorySegment(F, c, c2 + 3 * BYTES, ORDER);
        FloatVector a30 = FloatVector.fromMemorySegment(F, c, c3, ORDER);
        FloatVector a31 = FloatVector.fromMemorySegment(F, c, c3 + BYTES, ORDER);
        FloatVector a32 = FloatVector.fromMemorySegment(F, c, c3 + 2 * BYTES, ORDER);
        FloatVector a33 = FloatVector.fromMemorySegment(F, c, c3 + 3 * BYTES, ORDER);
        FloatVector a40 = FloatVector.fromMemorySegment(F, c, c4, ORDER);
        FloatVector a41 = FloatVector.fromMemorySegment(F, c, c4 + BYTES, ORDER);
        FloatVector a42 = FloatVector.fromMemorySegment(F, c, c4 + 2 * BYTES, ORDER);
        FloatVector a43 = FloatVector.fromMemorySegment(F, c, c4 + 3 * BYTES, ORDER);
        FloatVector a50 = FloatVector.fromMemorySegment(F, c, c5, ORDER);
        FloatVector a51 = FloatVector.fromMemorySegment(F, c, c5 + BYTES, ORDER);
        FloatVector a52 = FloatVector.fromMemorySegment(F, c, c5 + 2 * BYTES, ORDER);
        FloatVector a53 = FloatVector.fromMemorySegment(F, c, c5 + 3 * BYTES, ORDER);
        long at = pAt;
        long qRow = qAt;
        for (int i = 0; i < k; i++) {
            FloatVector q0 = FloatVector.fromMemorySegment(F, q, qRow, ORDER);
            FloatVector q1 = FloatVector.fromMemorySegment(F, q, qRow + BYTES, ORDER);
            FloatVector q2 = FloatVector.fromMemorySegment(F, q, qRow + 2 * BYTES, ORDER);
            FloatVector q3 = FloatVector.fromMemorySegment(F, q, qRow + 3 * BYTES, ORDER);
            FloatVector w = FloatVector.broadcast(F, p.get(FLOAT, at));
            a00 = w.fma(q0, a00);
            a01 = w.fma(q1, a01);
            a02 = w.fma(q2, a02);
            a03 = w.fma(q3, a03);
            w = FloatVector.broadcast(F, p.get(FLOAT, at + r1));
            a10 = w.fma(q0, a10);
            a11 = w.fma(q1, a11);
            a12 = w.fma(q2, a12);
            a13 = w.fma(q3, a13);
            w = FloatVector.broadcast(F, p.get(FLOAT, at + r2));
            a20 = w.fma(q0, a20);
            a21 = w.fma(q1, a21);
            a22 = w.fma(q2, a22);
            a23 = w.fma(q3, a23);
            w = FloatVector.broadcast(F, p.get(FLOAT, at + r3));
            a30 = w.fma(q0, a30);
            a31 = w.fma(q1, a31);
            a32 = w.fma(q2, a32);
            a33 = w.fma(q3, a33);
            w = FloatVector.broadcast(F, p.get(FLOAT, at + r4));
            a40 = w.fma(q0, a40);
            a41 = w.fma(q1, a41);
            a42 = w.fma(q2, a42);
            a43 = w.fma(q3, a43);
            w = FloatVector.broadcast(F, p.get(FLOAT, at + r5));
            a50 = w.fma(q0, a50);
            a51 = w.fma(q1, a51);
            a52 = w.fma(q2, a52);
            a53 = w.fma(q3, a53);
            at += pStep;
            qRow += 4 * BYTES;
        }
        a00.intoMemorySegment(c, c0, ORDER);
        a01.intoMemorySegment(c, c0 + BYTES, ORDER);
        a02.intoMemorySegment(c, c0 + 2 * BYTES, ORDER);
        a03.intoMemorySegment(c, c0 + 3 * BYTES, ORDER);
        a10.intoMemorySegment(c, c1, ORDER);
        a11.intoMemorySegment(c, c1 + BYTES, ORDER);
        a12.intoMemorySegment(c, c1 + 2 * BYTES, ORDER);
        a13.intoMemorySegment(c, c1 + 3 * BYTES, ORDER);
        a20.intoMemorySegment(c, c2, ORDER);
        a21.intoMemorySegment(c, c2 + BYTES, ORDER);
        a22.intoMemorySegment(c, c2 + 2 * BYTES, ORDER);
        a23.intoMemorySegment(c, c2 + 3 * BYTES, ORDER);
        a30.intoMemorySegment(c, c3, ORDER);
        a31.intoMemorySegment(c, c3 + BYTES, ORDER);
        a32.intoMemorySegment(c, c3 + 2 * BYTES, ORDER);
        a33.intoMemorySegment(c, c3 + 3 * BYTES, ORDER);
        a40.intoMemorySegment(c, c4, ORDER);
        a41.intoMemorySegment(c, c4 + BYTES, ORDER);
        a42.intoMemorySegment(c, c4 + 2 * BYTES, ORDER);
        a43.intoMemorySegment(c, c4 + 3 * BYTES, ORDER);
        a50.intoMemorySegment(c, c5, ORDER);
        a51.intoMemorySegment(c, c5 + BYTES, ORDER);
        a52.intoMemorySegment(c, c5 + 2 * BYTES, ORDER);
        a53.intoMemorySegment(c, c5 + 3 * BYTES, ORDER);
    }

    /** Twelve accumulators, for 16 registers. */
    private static void add6x2(
            MemorySegment p, long pAt, long pRow, long pStep, int rows, MemorySegment q, long qAt, int k, MemorySegment c,
            long cAt, long cRow) {
        long r1 = Math.min(1, rows - 1) * pRow;
        long r2 = Math.min(2, rows - 1) * pRow;
        long r3 = Math.min(3, rows - 1) * pRow;
        long r4 = Math.min(4, rows - 1) * pRow;
        long r5 = Math.min(5, rows - 1) * pRow;
        long c0 = cAt;
        long c1 = cAt + 1 * cRow;
        long c2 = cAt + 2 * cRow;
        long c3 = cAt + 3 * cRow;
        long c4 = cAt + 4 * cRow;
        long c5 = cAt + 5 * cRow;
        FloatVector a00 = FloatVector.fromMemorySegment(F, c, c0, ORDER);
        FloatVector a01 = FloatVector.fromMemorySegment(F, c, c0 + BYTES, ORDER);
        FloatVector a10 = FloatVector.fromMemorySegment(F, c, c1, ORDER);
        FloatVector a11 = FloatVector.fromMemorySegment(F, c, c1 + BYTES, ORDER);
        FloatVector a20 = FloatVector.fromMemorySegment(F, c, c2, ORDER);
        FloatVector a21 = FloatVector.fromMemorySegment(F, c, c2 + BYTES, ORDER);
        FloatVector a30 = FloatVector.fromMemorySegment(F, c, c3, ORDER);
        FloatVector a31 = FloatVector.fromMemorySegment(F, c, c3 + BYTES, ORDER);
        FloatVector a40 = FloatVector.fromMemorySegment(F, c, c4, ORDER);
        FloatVector a41 = FloatVector.fromMemorySegment(F, c, c4 + BYTES, ORDER);
        FloatVector a50 = FloatVector.fromMemorySegment(F, c, c5, ORDER);
        FloatVector a51 = FloatVector.fromMemorySegment(F, c, c5 + BYTES, ORDER);
        long at = pAt;
        long qRow = qAt;
        for (int i = 0; i < k; i++) {
            FloatVector q0 = FloatVector.fromMemorySegment(F, q, qRow, ORDER);
            FloatVector q1 = FloatVector.fromMemorySegment(F, q, qRow + BYTES, ORDER);
            FloatVector w = FloatVector.broadcast(F, p.get(FLOAT, at));
            a00 = w.fma(q0, a00);
            a01 = w.fma(q1, a01);
            w = FloatVector.broadcast(F, p.get(FLOAT, at + r1));
            a10 = w.fma(q0, a10);
            a11 = w.fma(q1, a11);
            w = FloatVector.broadcast(F, p.get(FLOAT, at + r2));
            a20 = w.fma(q0, a20);
            a21 = w.fma(q1, a21);
            w = FloatVector.broadcast(F, p.get(FLOAT, at + r3));
            a30 = w.fma(q0, a30);
            a31 = w.fma(q1, a31);
            w = FloatVector.broadcast(F, p.get(FLOAT, at + r4));
            a40 = w.fma(q0, a40);
            a41 = w.fma(q1, a41);
            w = FloatVector.broadcast(F, p.get(FLOAT, at + r5));
            a50 = w.fma(q0, a50);
            a51 = w.fma(q1, a51);
            at += pStep;
            qRow += 2 * BYTES;
        }
        a00.intoMemorySegment(c, c0, ORDER);
        a01.intoMemorySegment(c, c0 + BYTES, ORDER);
        a10.intoMemorySegment(c, c1, ORDER);
        a11.intoMemorySegment(c, c1 + BYTES, ORDER);
        a20.intoMemorySegment(c, c2, ORDER);
        a21.intoMemorySegment(c, c2 + BYTES, ORDER);
        a30.intoMemorySegment(c, c3, ORDER);
        a31.intoMemorySegment(c, c3 + BYTES, ORDER);
        a40.intoMemorySegment(c, c4, ORDER);
        a41.intoMemorySegment(c, c4 + BYTES, ORDER);
        a50.intoMemorySegment(c, c5, ORDER);
        a51.intoMemorySegment(c, c5 + BYTES, ORDER);
    }

    /**
     * Three rows of weights against four tokens along k, both contiguous: lane by lane sums of {@code w_r . x_t}
     * over the whole vectors of k go to the vector {@code 4*r + t} of out. Rows and tokens past the given counts repeat the last one.
     */
    static void dot3x4(
            MemorySegment w, long wAt, long wRow, int rows, MemorySegment x, long xAt, long xRow, int tokens, int k,
            MemorySegment out) {
        long w0 = wAt;
        long w1 = wAt + Math.min(1, rows - 1) * wRow;
        long w2 = wAt + Math.min(2, rows - 1) * wRow;
        long x0 = xAt;
        long x1 = xAt + Math.min(1, tokens - 1) * xRow;
        long x2 = xAt + Math.min(2, tokens - 1) * xRow;
        long x3 = xAt + Math.min(3, tokens - 1) * xRow;
        FloatVector a00 = FloatVector.zero(F);
        FloatVector a01 = FloatVector.zero(F);
        FloatVector a02 = FloatVector.zero(F);
        FloatVector a03 = FloatVector.zero(F);
        FloatVector a10 = FloatVector.zero(F);
        FloatVector a11 = FloatVector.zero(F);
        FloatVector a12 = FloatVector.zero(F);
        FloatVector a13 = FloatVector.zero(F);
        FloatVector a20 = FloatVector.zero(F);
        FloatVector a21 = FloatVector.zero(F);
        FloatVector a22 = FloatVector.zero(F);
        FloatVector a23 = FloatVector.zero(F);
        for (int i = 0; i < k; i += N) {
            long at = 4L * i;
            FloatVector v0 = FloatVector.fromMemorySegment(F, w, w0 + at, ORDER);
            FloatVector v1 = FloatVector.fromMemorySegment(F, w, w1 + at, ORDER);
            FloatVector v2 = FloatVector.fromMemorySegment(F, w, w2 + at, ORDER);
            FloatVector u = FloatVector.fromMemorySegment(F, x, x0 + at, ORDER);
            a00 = v0.fma(u, a00);
            a10 = v1.fma(u, a10);
            a20 = v2.fma(u, a20);
            u = FloatVector.fromMemorySegment(F, x, x1 + at, ORDER);
            a01 = v0.fma(u, a01);
            a11 = v1.fma(u, a11);
            a21 = v2.fma(u, a21);
            u = FloatVector.fromMemorySegment(F, x, x2 + at, ORDER);
            a02 = v0.fma(u, a02);
            a12 = v1.fma(u, a12);
            a22 = v2.fma(u, a22);
            u = FloatVector.fromMemorySegment(F, x, x3 + at, ORDER);
            a03 = v0.fma(u, a03);
            a13 = v1.fma(u, a13);
            a23 = v2.fma(u, a23);
        }
        a00.intoMemorySegment(out, 0, ORDER);
        a01.intoMemorySegment(out, BYTES, ORDER);
        a02.intoMemorySegment(out, 2 * BYTES, ORDER);
        a03.intoMemorySegment(out, 3 * BYTES, ORDER);
        a10.intoMemorySegment(out, 4 * BYTES, ORDER);
        a11.intoMemorySegment(out, 5 * BYTES, ORDER);
        a12.intoMemorySegment(out, 6 * BYTES, ORDER);
        a13.intoMemorySegment(out, 7 * BYTES, ORDER);
        a20.intoMemorySegment(out, 8 * BYTES, ORDER);
        a21.intoMemorySegment(out, 9 * BYTES, ORDER);
        a22.intoMemorySegment(out, 10 * BYTES, ORDER);
        a23.intoMemorySegment(out, 11 * BYTES, ORDER);
    }
}

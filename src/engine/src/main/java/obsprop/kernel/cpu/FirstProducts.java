package obsprop.kernel.cpu;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import jdk.incubator.vector.VectorShape;
import obsprop.tensor.DType;

/**
 * Products in plain Java for a program's first moments: until it is compiled, a vector operation takes microseconds, and
 * a command on a small model is done before that. The sums have the order of the other ways, so nobody can tell.
 */
final class FirstProducts {
    /** Multiply-adds, some tenths of a second; to get vectors compiled takes more. */
    private static final long BUDGET = 400_000_000;
    /** Rows of a: with more of them, vectors have paid soon. */
    private static final int MOST_ROWS = 128;
    /** Rows or columns of b, whichever are contiguous, that meet a row of a at once. */
    private static final int BLOCK = 4;
    // Not those of Lanes, which sets vectors up.
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;
    private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED;

    /** Whether {@link PairTiles} are to come; asked of the shape, since to ask Lanes sets vectors up. */
    private static final boolean PAIRS = VectorShape.preferredShape().vectorBitSize() >= 512;

    private long left;
    private float[][] x = {};
    private float[][] sums = {};
    private final float[][] w = new float[BLOCK][0];
    private float[] before = {};
    private short[] halves = {};

    /** @param inForce false to begin with vectors at once */
    FirstProducts(boolean inForce) {
        left = inForce ? BUDGET : 0;
    }

    /** Whether {@code c (+)= a b}, for a [m,k] and b [k,n], is still to be done here: not for long sums, which go by blocks. */
    boolean take(Matrix a, Matrix b, int m, int n, int k) {
        if (left <= 0 || m > MOST_ROWS) {
            return false;
        }
        left -= (long) m * n * k;
        if (left <= 0) {
            forget();
            return false;
        }
        boolean known = b.type == DType.F32 || b.type == DType.BF16;
        return k <= Blocks.DEPTH && a.col == 1 && a.type == DType.F32 && known;
    }

    private void forget() {
        x = new float[0][];
        sums = new float[0][];
        Arrays.fill(w, new float[0]);
        before = new float[0];
        halves = new short[0];
    }

    void run(Matrix a, Matrix b, Matrix c, int m, int n, int k, boolean add) {
        x = room(x, m, k);
        sums = room(sums, m, n + BLOCK);
        for (int t = 0; t < m; t++) {
            MemorySegment.copy(a.segment, FLOAT, a.bytes(t, 0), x[t], 0, k);
        }
        for (int i = 0; i < BLOCK; i++) {
            w[i] = room(w[i], Math.max(n, k));
        }
        if (b.col == 1) {
            addRows(b, m, n, k);
        } else {
            multiplyColumns(b, m, n, k);
        }
        for (int t = 0; t < m; t++) {
            long to = c.bytes(t, 0);
            if (add) {
                before = room(before, n);
                MemorySegment.copy(c.segment, FLOAT, to, before, 0, n);
                addRow(1f, before, sums[t], n);
            }
            MemorySegment.copy(sums[t], 0, c.segment, FLOAT, to, n);
        }
    }

    private static float[] room(float[] array, int length) {
        return array.length < length ? new float[length] : array;
    }

    private static float[][] room(float[][] rows, int count, int length) {
        int most = rows.length == 0 ? 0 : rows[0].length;
        boolean fits = rows.length >= count && most >= length;
        return fits ? rows : new float[Math.max(rows.length, count)][Math.max(most, length)];
    }

    private void addRows(Matrix b, int m, int n, int k) {
        for (int t = 0; t < m; t++) {
            Arrays.fill(sums[t], 0, n, 0f);
        }
        for (int i = 0; i < k; i += BLOCK) {
            int rows = Math.min(BLOCK, k - i);
            for (int r = 0; r < rows; r++) {
                read(b, b.bytes(i + r, 0), n, w[r]);
            }
            for (int t = 0; t < m; t++) {
                if (rows == BLOCK) {
                    addRows(x[t], i, w[0], w[1], w[2], w[3], sums[t], n);
                    continue;
                }
                for (int r = 0; r < rows; r++) {
                    addRow(x[t][i + r], w[r], sums[t], n);
                }
            }
        }
    }

    private static void addRow(float factor, float[] row, float[] to, int n) {
        for (int j = 0; j < n; j++) {
            to[j] = Math.fma(factor, row[j], to[j]);
        }
    }

    private static void addRows(float[] x, int i, float[] w0, float[] w1, float[] w2, float[] w3, float[] to, int n) {
        float x0 = x[i];
        float x1 = x[i + 1];
        float x2 = x[i + 2];
        float x3 = x[i + 3];
        for (int j = 0; j < n; j++) {
            to[j] = Math.fma(x3, w3[j], Math.fma(x2, w2[j], Math.fma(x1, w1[j], Math.fma(x0, w0[j], to[j]))));
        }
    }

    private void multiplyColumns(Matrix b, int m, int n, int k) {
        for (int j = 0; j < n; j += BLOCK) {
            // Beyond the last column w holds what was there, and its sums are not looked at.
            for (int r = 0; r < Math.min(BLOCK, n - j); r++) {
                read(b, b.bytes(0, j + r), k, w[r]);
            }
            for (int t = 0; t < m; t++) {
                if (PAIRS) {
                    multiplyByPairs(x[t], w[0], w[1], w[2], w[3], k, sums[t], j);
                } else {
                    multiply(x[t], w[0], w[1], w[2], w[3], k, sums[t], j);
                }
            }
        }
    }

    private static void multiply(float[] x, float[] w0, float[] w1, float[] w2, float[] w3, int k, float[] to, int at) {
        float s0 = 0;
        float s1 = 0;
        float s2 = 0;
        float s3 = 0;
        for (int i = 0; i < k; i++) {
            s0 = Math.fma(x[i], w0[i], s0);
            s1 = Math.fma(x[i], w1[i], s1);
            s2 = Math.fma(x[i], w2[i], s2);
            s3 = Math.fma(x[i], w3[i], s3);
        }
        to[at] = s0;
        to[at + 1] = s1;
        to[at + 2] = s2;
        to[at + 3] = s3;
    }

    /** Each sum is that over even k and that over odd k. */
    private static void multiplyByPairs(
            float[] x, float[] w0, float[] w1, float[] w2, float[] w3, int k, float[] to, int at) {
        float s0 = 0;
        float s1 = 0;
        float s2 = 0;
        float s3 = 0;
        float t0 = 0;
        float t1 = 0;
        float t2 = 0;
        float t3 = 0;
        int i = 0;
        for (; i < k - 1; i += 2) {
            s0 = Math.fma(x[i], w0[i], s0);
            s1 = Math.fma(x[i], w1[i], s1);
            s2 = Math.fma(x[i], w2[i], s2);
            s3 = Math.fma(x[i], w3[i], s3);
            t0 = Math.fma(x[i + 1], w0[i + 1], t0);
            t1 = Math.fma(x[i + 1], w1[i + 1], t1);
            t2 = Math.fma(x[i + 1], w2[i + 1], t2);
            t3 = Math.fma(x[i + 1], w3[i + 1], t3);
        }
        if (i < k) {
            s0 = Math.fma(x[i], w0[i], s0);
            s1 = Math.fma(x[i], w1[i], s1);
            s2 = Math.fma(x[i], w2[i], s2);
            s3 = Math.fma(x[i], w3[i], s3);
        }
        to[at] = s0 + t0;
        to[at + 1] = s1 + t1;
        to[at + 2] = s2 + t2;
        to[at + 3] = s3 + t3;
    }

    /** {@code count} elements of b that lie one after the other. */
    private void read(Matrix b, long at, int count, float[] to) {
        if (b.type == DType.F32) {
            MemorySegment.copy(b.segment, FLOAT, at, to, 0, count);
            return;
        }
        halves = halves.length < count ? new short[count] : halves;
        MemorySegment.copy(b.segment, SHORT, at, halves, 0, count);
        for (int i = 0; i < count; i++) {
            to[i] = Float.intBitsToFloat(halves[i] << 16);
        }
    }
}

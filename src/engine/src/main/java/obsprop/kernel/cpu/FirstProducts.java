package obsprop.kernel.cpu;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
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

    /**
     * Sums run over every STEP-th k, and over the others: those of {@link PairTiles} where these are to come. Asked of the shape,
     * since to ask Lanes sets vectors up.
     */
    private static final int STEP = VectorShape.preferredShape().vectorBitSize() >= 512 ? 2 : 1;

    private long left;

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
        boolean known = b.type == DType.F32 || b.type == DType.BF16;
        return left > 0 && k <= Blocks.DEPTH && a.col == 1 && a.type == DType.F32 && known;
    }

    /** Allocates what it needs: that is soon over, and nothing is left of it. */
    static void run(Matrix a, Matrix b, Matrix c, int m, int n, int k, boolean add) {
        float[][] x = new float[m][k];
        for (int t = 0; t < m; t++) {
            MemorySegment.copy(a.segment, FLOAT, a.bytes(t, 0), x[t], 0, k);
        }
        float[][] sums = new float[m][n + BLOCK];
        if (b.col == 1) {
            addRows(b, x, sums, n, k);
        } else {
            multiplyColumns(b, x, sums, n, k);
        }
        float[] before = new float[add ? n : 0];
        for (int t = 0; t < m; t++) {
            long to = c.bytes(t, 0);
            if (add) {
                MemorySegment.copy(c.segment, FLOAT, to, before, 0, n);
                addRow(1f, before, sums[t], n);
            }
            MemorySegment.copy(sums[t], 0, c.segment, FLOAT, to, n);
        }
    }

    private static void addRows(Matrix b, float[][] x, float[][] sums, int n, int k) {
        float[][] w = new float[BLOCK][n];
        short[] halves = new short[n];
        for (int i = 0; i < k; i += BLOCK) {
            int rows = Math.min(BLOCK, k - i);
            for (int r = 0; r < rows; r++) {
                read(b, b.bytes(i + r, 0), n, w[r], halves);
            }
            for (int t = 0; t < x.length; t++) {
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

    private static void multiplyColumns(Matrix b, float[][] x, float[][] sums, int n, int k) {
        float[][] w = new float[BLOCK][k];
        short[] halves = new short[k];
        for (int j = 0; j < n; j += BLOCK) {
            // Beyond the last column w holds what was there, and its sums are not looked at.
            for (int r = 0; r < Math.min(BLOCK, n - j); r++) {
                read(b, b.bytes(0, j + r), k, w[r], halves);
            }
            for (int t = 0; t < x.length; t++) {
                for (int first = 0; first < STEP; first++) {
                    addSums(x[t], w[0], w[1], w[2], w[3], first, k, sums[t], j);
                }
            }
        }
    }

    private static void addSums(float[] x, float[] w0, float[] w1, float[] w2, float[] w3, int first, int k, float[] to, int at) {
        float s0 = 0;
        float s1 = 0;
        float s2 = 0;
        float s3 = 0;
        for (int i = first; i < k; i += STEP) {
            s0 = Math.fma(x[i], w0[i], s0);
            s1 = Math.fma(x[i], w1[i], s1);
            s2 = Math.fma(x[i], w2[i], s2);
            s3 = Math.fma(x[i], w3[i], s3);
        }
        to[at] += s0;
        to[at + 1] += s1;
        to[at + 2] += s2;
        to[at + 3] += s3;
    }

    /** {@code count} elements of b that lie one after the other. */
    private static void read(Matrix b, long at, int count, float[] to, short[] halves) {
        if (b.type == DType.F32) {
            MemorySegment.copy(b.segment, FLOAT, at, to, 0, count);
            return;
        }
        MemorySegment.copy(b.segment, SHORT, at, halves, 0, count);
        for (int i = 0; i < count; i++) {
            to[i] = Float.intBitsToFloat(halves[i] << 16);
        }
    }
}

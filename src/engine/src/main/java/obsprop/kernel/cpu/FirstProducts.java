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
    /** Multiply-adds, some milliseconds, after which compiling vectors has paid. */
    private static final long BUDGET = 1_000_000;
    // Not those of Lanes, which sets vectors up.
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;
    private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED;

    /** Whether {@link PairTiles} are to come; asked of the shape, since to ask Lanes sets vectors up. */
    private static final boolean PAIRS = VectorShape.preferredShape().vectorBitSize() >= 512;

    private long left;
    private float[] x = {};
    private float[] w = {};
    private short[] halves = {};
    private float[] sums = {};

    /** @param inForce false to begin with vectors at once */
    FirstProducts(boolean inForce) {
        left = inForce ? BUDGET : 0;
    }

    /** Whether {@code c (+)= a b}, for a [m,k] and b [k,n], is still to be done here: not for long sums, which go by blocks. */
    boolean take(Matrix a, Matrix b, int m, int n, int k) {
        if (left <= 0) {
            return false;
        }
        left -= (long) m * n * k;
        boolean known = b.type == DType.F32 || b.type == DType.BF16;
        return left > 0 && k <= Blocks.DEPTH && a.col == 1 && a.type == DType.F32 && known;
    }

    void run(Matrix a, Matrix b, Matrix c, int m, int n, int k, boolean add) {
        x = room(x, k);
        w = room(w, Math.max(n, k));
        sums = room(sums, n);
        for (int r = 0; r < m; r++) {
            MemorySegment.copy(a.segment, FLOAT, a.bytes(r, 0), x, 0, k);
            if (b.col == 1) {
                addRows(b, n, k);
            } else {
                multiplyRows(b, n, k);
            }
            long to = c.bytes(r, 0);
            if (add) {
                MemorySegment.copy(c.segment, FLOAT, to, w, 0, n);
                for (int j = 0; j < n; j++) {
                    sums[j] += w[j];
                }
            }
            MemorySegment.copy(sums, 0, c.segment, FLOAT, to, n);
        }
    }

    private static float[] room(float[] array, int length) {
        return array.length < length ? new float[length] : array;
    }

    private void addRows(Matrix b, int n, int k) {
        Arrays.fill(sums, 0, n, 0f);
        for (int i = 0; i < k; i++) {
            read(b, b.bytes(i, 0), n);
            addRow(x[i], w, sums, n);
        }
    }

    private static void addRow(float factor, float[] row, float[] to, int n) {
        for (int j = 0; j < n; j++) {
            to[j] = Math.fma(factor, row[j], to[j]);
        }
    }

    private void multiplyRows(Matrix b, int n, int k) {
        for (int j = 0; j < n; j++) {
            read(b, b.bytes(0, j), k);
            sums[j] = PAIRS ? sum(0, k, 2) + sum(1, k, 2) : sum(0, k, 1);
        }
    }

    /** Of x w, over every {@code step}-th k. */
    private float sum(int from, int k, int step) {
        float sum = 0;
        for (int i = from; i < k; i += step) {
            sum = Math.fma(x[i], w[i], sum);
        }
        return sum;
    }

    /** {@code count} elements of b that lie one after the other. */
    private void read(Matrix b, long at, int count) {
        if (b.type == DType.F32) {
            MemorySegment.copy(b.segment, FLOAT, at, w, 0, count);
            return;
        }
        halves = halves.length < count ? new short[count] : halves;
        MemorySegment.copy(b.segment, SHORT, at, halves, 0, count);
        for (int i = 0; i < count; i++) {
            w[i] = Float.intBitsToFloat(halves[i] << 16);
        }
    }
}

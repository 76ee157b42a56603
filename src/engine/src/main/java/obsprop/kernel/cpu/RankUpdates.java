package obsprop.kernel.cpu;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import obsprop.kernel.cpu.Scratch.Slot;
import obsprop.tensor.DType;

/**
 * {@code dX (+)= dY W} for few tokens: four rows of W at a time meet all tokens, so that W is read once, in place and in
 * the order of memory. A chunk is a strip of columns; its sums for all tokens stay in the cache. BF16 is widened by pairs in
 * registers, and the sums are put in order at the end ({@link Pairs}).
 */
final class RankUpdates {
    private static final int ROWS = 4;
    /** Columns of a strip at most: shorter pieces of memory come more slowly. */
    private static final int STRIP = 2048;
    /** Floats from token to token in its sums: not a power of two, or all tokens would fall into two sets of the cache. */
    private static final int STRIDE = STRIP + 16;

    private final Workers.Task pack = this::packChunk;
    private final Workers.Task task = this::chunk;
    private final Scratch shared = new Scratch();
    private final Matrix dy;
    private final Matrix w;
    private final Matrix dx;
    private int m;
    private int n;
    private int k;
    private int strip;
    private boolean add;
    private MemorySegment coefficients = MemorySegment.NULL;

    /** Operands: dy [m,k], w [k,n], dx [m,n], all with unit column stride. */
    RankUpdates(Matrix dy, Matrix w, Matrix dx) {
        this.dy = dy;
        this.w = w;
        this.dx = dx;
    }

    void run(Workers workers, int rows, int cols, int depth, boolean accumulate) {
        m = rows;
        n = cols;
        k = depth;
        add = accumulate;
        strip = Math.min(STRIP, Gemm.ceil(n, workers.threads() * Lanes.N) * Lanes.N);
        coefficients = shared.floats(Slot.PACK, (long) Gemm.ceil(k, ROWS) * ROWS * m);
        Gemm.launch(workers, pack, Gemm.ceil(k, Blocks.DEPTH), 8L * m * k);
        Gemm.launch(workers, task, Gemm.ceil(n, strip), (long) m * n * k);
    }

    /** {@code coefficients[row / 4][t][r] = dy[t, row + r]}, zero beyond the last row. */
    private void packChunk(int chunk, Scratch scratch) {
        int end = Math.min(k, (chunk + 1) * Blocks.DEPTH);
        for (int row = chunk * Blocks.DEPTH; row < end; row += ROWS) {
            int rows = Math.min(ROWS, end - row);
            for (int t = 0; t < m; t++) {
                long from = dy.bytes(t, row);
                long to = 4L * ((long) row * m + ROWS * t);
                if (rows == ROWS) {
                    for (int i = 0; i < 4 * ROWS; i += 8) {
                        long two = dy.segment.get(ValueLayout.JAVA_LONG_UNALIGNED, from + i);
                        coefficients.set(ValueLayout.JAVA_LONG_UNALIGNED, to + i, two);
                    }
                } else {
                    for (int r = 0; r < ROWS; r++) {
                        Lanes.set(coefficients, to + 4L * r, r < rows ? Lanes.get(dy.segment, from + 4L * r) : 0f);
                    }
                }
            }
        }
    }

    private void chunk(int chunk, Scratch scratch) {
        int col = chunk * strip;
        int cols = Math.min(strip, n - col);
        int padded = Gemm.ceil(cols, Lanes.N) * Lanes.N;
        // One block of k, and all before it.
        MemorySegment sums = scratch.floats(Slot.RESULT, 2L * m * STRIDE);
        long sumRow = 4L * STRIDE;
        long total = m * sumRow;
        boolean pairs = w.type == DType.BF16 && cols % (2 * Lanes.N) == 0 && k % ROWS == 0;
        for (int depth = 0; depth < Math.max(1, k); depth += Blocks.DEPTH) {
            long at = depth == 0 ? total : 0;
            for (int t = 0; t < m; t++) {
                Copies.zeroRow(sums, at + sumRow * t, padded);
            }
            int end = Math.min(k, depth + Blocks.DEPTH);
            for (int row = depth; row < end; row += ROWS) {
                if (pairs) {
                    Tiles.addRank4Bf16(w.segment, w.bytes(row, col), 2 * w.row, coefficients, 4L * row * m, m, cols, sums, at, sumRow);
                } else {
                    update(scratch, row, Math.min(ROWS, end - row), col, cols, sums, at);
                }
            }
            for (int t = 0; t < m && depth > 0; t++) {
                Copies.addRow(1f, sums, sumRow * t, sums, total + sumRow * t, padded);
            }
        }
        for (int t = 0; t < m; t++) {
            if (pairs) {
                Pairs.writeRow(sums, total + sumRow * t, cols, dx.segment, dx.bytes(t, col), add);
            } else {
                Tiles.writeRow(sums, total + sumRow * t, cols, dx.segment, dx.bytes(t, col), add);
            }
        }
    }

    private void update(Scratch scratch, int row, int rows, int col, int cols, MemorySegment sums, long at) {
        long d = 4L * row * m;
        int padded = Gemm.ceil(cols, Lanes.N) * Lanes.N;
        if (w.type == DType.F32 && rows == ROWS && padded == cols) {
            Tiles.addRank4(w.segment, w.bytes(row, col), 4 * w.row, coefficients, d, m, cols, sums, at, 4L * STRIDE);
            return;
        }
        // Ragged or narrow: through a padded copy.
        MemorySegment copy = scratch.floats(Slot.WIDENED, (long) ROWS * STRIDE);
        Convert.widenRows(w, row, rows, col, cols, copy, 0, 4L * STRIDE, ROWS, padded);
        Tiles.addRank4(copy, 0, 4L * STRIDE, coefficients, d, m, padded, sums, at, 4L * STRIDE);
    }
}

package obsprop.kernel.cpu;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import obsprop.kernel.cpu.Scratch.Slot;
import obsprop.tensor.DType;

/**
 * {@code dX (+)= dY W}: eight rows of W at a time meet all tokens, so that W is read once, in place and in
 * the order of memory. A chunk is a strip of columns; its sums for all tokens stay in L2.
 */
final class RankUpdates {
    private static final int ROWS = 8;

    private final Workers.Task task = this::chunk;
    private final Matrix dy;
    private final Matrix w;
    private final Matrix dx;
    private int m;
    private int n;
    private int k;
    private int strip;
    private boolean add;

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
        strip = Math.min(Tiles.STRIP, Gemm.share(n, 4 * Tiles.STEP, workers));
        Gemm.launch(workers, task, Gemm.ceil(n, strip), (long) m * n * k);
    }

    private void chunk(int chunk, Scratch scratch) {
        int col = chunk * strip;
        int cols = Math.min(strip, n - col);
        MemorySegment sums = scratch.floats(Slot.RESULT, (long) m * Tiles.STRIP_STRIDE);
        long sumRow = 4L * Tiles.STRIP_STRIDE;
        for (int depth = 0; depth < Math.max(1, k); depth += Blocks.DEPTH) {
            Copies.zeroRow(sums, 0, m * Tiles.STRIP_STRIDE);
            int end = Math.min(k, depth + Blocks.DEPTH);
            for (int row = depth; row < end; row += ROWS) {
                update(scratch, sums, row, Math.min(ROWS, end - row), col, cols);
            }
            Tiles.write(sums, sumRow, m, cols, dx.segment, dx.bytes(0, col), 4 * dx.row, add || depth > 0);
        }
    }

    private void update(Scratch scratch, MemorySegment sums, int row, int rows, int col, int cols) {
        MemorySegment d = coefficients(scratch, row, rows);
        int whole = cols - cols % Tiles.STEP;
        if (w.type == DType.F32 && rows == ROWS && whole == cols) {
            Tiles.addRank8(w.segment, w.bytes(row, col), 4 * w.row, d, m, cols, sums, 0);
            return;
        }
        // Ragged or narrow: through a padded copy. Rows beyond the last stay zero.
        MemorySegment copy = scratch.floats(Slot.WIDENED, (long) ROWS * Tiles.STRIP);
        int padded = whole == cols ? cols : whole + Tiles.STEP;
        for (int r = 0; r < ROWS; r++) {
            long at = 4L * Tiles.STRIP * r;
            if (rows < ROWS || padded > cols) {
                Copies.zeroRow(copy, at, padded);
            }
            if (r < rows) {
                Convert.widen(w.segment, w.bytes(row + r, col), w.type, copy, at, cols);
            }
        }
        Tiles.addRank8(copy, 0, 4L * Tiles.STRIP, d, m, padded, sums, 0);
    }

    /** {@code d[t][r] = dy[t, row + r]}, zero from {@code rows} on. */
    private MemorySegment coefficients(Scratch scratch, int row, int rows) {
        MemorySegment d = scratch.floats(Slot.TILE, (long) m * ROWS);
        for (int t = 0; t < m; t++) {
            long from = dy.bytes(t, row);
            long to = 4L * ROWS * t;
            if (rows == ROWS) {
                for (int i = 0; i < 4 * ROWS; i += 8) {
                    long two = dy.segment.get(ValueLayout.JAVA_LONG_UNALIGNED, from + i);
                    d.set(ValueLayout.JAVA_LONG_UNALIGNED, to + i, two);
                }
            } else {
                for (int r = 0; r < ROWS; r++) {
                    Lanes.set(d, to + 4L * r, r < rows ? Lanes.get(dy.segment, from + 4L * r) : 0f);
                }
            }
        }
        return d;
    }
}

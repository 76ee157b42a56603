package obsprop.kernel.cpu;

import java.lang.foreign.MemorySegment;
import obsprop.kernel.cpu.Scratch.Slot;
import obsprop.tensor.DType;

/**
 * {@code dX (+)= dY W} for some tokens: a few rows of W at a time meet all tokens, so that W is read once, in place and in the order of
 * memory ({@link PairUpdateTiles}). A chunk is a strip of columns; its sums stay in the cache, tokens side by side, and are turned at the
 * end. Other types than F32 are widened, an update's rows at a time; those of BF16, with 32 registers, while the update before works.
 *
 * <p>Sums run over k in order, in blocks of {@link Blocks#DEPTH}.
 */
final class PairUpdates {
    private static final int ROWS = PairUpdateTiles.ROWS;
    /** Tokens of a panel: each takes two lanes of two vectors. */
    private static final int TOKENS = Lanes.N;
    private static final long VECTOR = Lanes.BYTES;
    /** Columns of a strip at most: long runs of memory come fastest. */
    private static final int STRIP = PairUpdateTiles.COLUMNS;
    /** Sums of a strip at most, half an L2: that of machines with 16 registers is half as large. */
    private static final int SUMS = Tiles.WIDE ? 1 << 17 : 1 << 16;
    /** What a strip costs beside its columns, in columns. */
    private static final int OVERHEAD_COLUMNS = 16;
    /** Bytes of an update's rows in a copy. */
    private static final long COPY = ROWS * PairUpdateTiles.ROW;

    private final Workers.Task pack = this::packBlock;
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
    PairUpdates(Matrix dy, Matrix w, Matrix dx) {
        this.dy = dy;
        this.w = w;
        this.dx = dx;
    }

    /** For k > 0. */
    void run(Workers workers, int rows, int cols, int depth, boolean accumulate) {
        m = rows;
        n = cols;
        k = depth;
        add = accumulate;
        int most = Math.clamp(SUMS / (panels() * TOKENS * Lanes.N), 1, STRIP / Lanes.N) * Lanes.N;
        strip = Gemm.evenShare(n, Lanes.N, most, OVERHEAD_COLUMNS, workers);
        coefficients = shared.floats(Slot.PACK, 2L * Lanes.N * panels() * (k + ROWS));
        Gemm.launch(workers, pack, Gemm.ceil(k, Blocks.DEPTH), 8L * m * k);
        Gemm.launch(workers, task, Gemm.ceil(n, strip), (long) m * n * k);
    }

    private int panels() {
        return Gemm.ceil(m, TOKENS);
    }

    /** Where the coefficients of a panel for rows from {@code row} on are, two vectors a row. */
    private long coefficientsAt(int panel, int row) {
        return 2 * VECTOR * ((long) panel * (k + ROWS) + row);
    }

    private void packBlock(int block, Scratch scratch) {
        int end = Math.min(k, (block + 1) * Blocks.DEPTH);
        MemorySegment square = scratch.floats(Slot.SQUARE, (long) Lanes.N * Lanes.N);
        for (int panel = 0; panel < panels(); panel++) {
            int token = panel * TOKENS;
            int tokens = Math.min(TOKENS, m - token);
            if (end == k) {
                // The last update's, beyond the last row.
                Copies.zeroRow(coefficients, coefficientsAt(panel, k), 2 * Lanes.N * ROWS);
            }
            for (int row = block * Blocks.DEPTH; row < end; row += Lanes.N) {
                int rows = Math.min(Lanes.N, end - row);
                Transposer.square(dy.segment, dy.bytes(token, row), 4 * dy.row, tokens, rows, square);
                Pairs.twice(square, rows, coefficients, coefficientsAt(panel, row));
            }
        }
    }

    private void chunk(int chunk, Scratch scratch) {
        int col = chunk * strip;
        int cols = Math.min(strip, n - col);
        int size = (int) (panels() * sumsOfPanel(cols) / 4);
        // One block of k, and all before it.
        MemorySegment sums = scratch.floats(Slot.RESULT, 2L * size);
        long total = 4L * size;
        boolean ahead = Tiles.WIDE && w.type == DType.BF16 && k % ROWS == 0 && cols % Lanes.N == 0;
        if (ahead) {
            widen(scratch, 0, ROWS, col, cols);
        }
        for (int depth = 0; depth < k; depth += Blocks.DEPTH) {
            long at = depth == 0 ? total : 0;
            Copies.zeroRow(sums, at, size);
            int end = Math.min(k, depth + Blocks.DEPTH);
            for (int row = depth; row < end; row += ROWS) {
                update(scratch, row, Math.min(ROWS, end - row), col, cols, ahead, sums, at);
            }
            if (depth > 0) {
                Copies.addRow(1f, sums, 0, sums, total, size);
            }
        }
        for (int panel = 0; panel < panels(); panel++) {
            write(scratch, sums, total, panel, col, cols);
        }
    }

    /** Bytes of a panel's sums, [pair of columns][2 vectors], for as many columns as fill vectors. */
    private static long sumsOfPanel(int cols) {
        return VECTOR * Lanes.N * Gemm.ceil(cols, Lanes.N);
    }

    private void update(Scratch scratch, int row, int rows, int col, int cols, boolean ahead, MemorySegment sums, long at) {
        MemorySegment p = w.segment;
        long pAt = w.bytes(row, col);
        long pRow = 4 * w.row;
        int pairs = Gemm.ceil(cols, 2);
        int panel = 0;
        if (ahead) {
            p = copies(scratch);
            pAt = row / ROWS % 2 * COPY;
            pRow = PairUpdateTiles.ROW;
            int next = Math.min(row + ROWS, k - ROWS);
            PairUpdateTiles.updateAhead(
                    p, pAt, coefficients, coefficientsAt(0, row), pairs, sums, at, w.segment, w.bytes(next, col), 2 * w.row, COPY - pAt);
            panel = 1;
        } else if (w.type != DType.F32 || rows < ROWS || cols % 2 > 0) {
            p = widen(scratch, row, rows, col, cols);
            pAt = 0;
            pRow = PairUpdateTiles.ROW;
        }
        for (; panel < panels(); panel++) {
            PairUpdateTiles.update(p, pAt, pRow, coefficients, coefficientsAt(panel, row), pairs, sums, at + panel * sumsOfPanel(cols));
        }
    }

    /** Two copies of an update's rows. */
    private static MemorySegment copies(Scratch scratch) {
        return scratch.floats(Slot.WIDENED, 2 * COPY / 4);
    }

    /** To the first copy. Zero beyond the last row of a block, whose coefficients belong to the next, and beside an odd column. */
    private MemorySegment widen(Scratch scratch, int row, int rows, int col, int cols) {
        MemorySegment copy = copies(scratch);
        Convert.widenRows(w, row, rows, col, cols, copy, PairUpdateTiles.ROW, ROWS, cols + cols % 2);
        return copy;
    }

    private void write(Scratch scratch, MemorySegment sums, long at, int panel, int col, int cols) {
        MemorySegment square = scratch.floats(Slot.SQUARE, (long) Lanes.N * Lanes.N);
        for (int half = 0; half < 2; half++) {
            int token = panel * TOKENS + half * TOKENS / 2;
            int tokens = Math.min(TOKENS / 2, m - token);
            for (int x = 0; x < cols && tokens > 0; x += Lanes.N) {
                Transposer.squareOfPairs(sums, at + panel * sumsOfPanel(cols) + VECTOR * (x + half), 2 * VECTOR, square);
                Tiles.write(square, VECTOR, tokens, Math.min(Lanes.N, cols - x), dx.segment, dx.bytes(token, col + x), 4 * dx.row, add);
            }
        }
    }
}

package obsprop.kernel.cpu;

import java.lang.foreign.MemorySegment;
import obsprop.kernel.cpu.Scratch.Slot;
import obsprop.tensor.DType;

/**
 * {@code dX (+)= dY W} for some tokens: a few rows of W at a time meet all tokens of a panel, so that W is read once, in place and in the
 * order of memory ({@link PairUpdateTiles}). A chunk is a strip of columns and a part of k ({@link Split}); its sums stay in the
 * cache, tokens side by side, and are turned at the end. Other types than F32 are widened, an update's rows at a time; BF16 for few
 * panels, where there are 32 registers, in these.
 *
 * <p>Sums run over k in order, in {@link Blocks#count blocks}.
 */
final class PairUpdates {
    private static final int ROWS = PairUpdateTiles.ROWS;
    /** Tokens of a panel: each takes two lanes of two vectors. */
    private static final int TOKENS = Lanes.N;
    /** Tokens at a time at most: coefficients and sums should not grow with them. */
    private static final int SLAB = 128;
    private static final long VECTOR = Lanes.BYTES;
    /** Rows of W that one panel meets after the other: they (256 KiB of F32 at most) and a panel's sums stay in L2 meanwhile. */
    private static final int BLOCK = 32 / ROWS * ROWS;
    /** Rows whose coefficients are packed at a time: whole squares, and enough of each row of dY. */
    private static final int PACKED = 4 * BLOCK;
    /** Copies: those of a block. */
    private static final int COPIES = BLOCK / ROWS;

    private final Workers.Task task = this::chunk;
    private final Workers.Task finish = this::finishChunk;
    private final Split split = new Split();
    private final Scratch shared = new Scratch();
    private final Matrix dy;
    private final Matrix w;
    private final Matrix dx;
    private int first;
    private int m;
    private int n;
    private int k;
    private boolean add;
    /** Sums that {@link Split} keeps, [kept][pair of columns][2 vectors] for every panel. */
    private MemorySegment kept = MemorySegment.NULL;

    /** Operands: dy [m,k], w [k,n], dx [m,n], all with unit column stride. */
    PairUpdates(Matrix dy, Matrix w, Matrix dx) {
        this.dy = dy;
        this.w = w;
        this.dx = dx;
    }

    /** For k > 0. */
    void run(Workers workers, int rows, int cols, int depth, boolean accumulate) {
        n = cols;
        k = depth;
        add = accumulate;
        int slab = Gemm.evenPiece(rows, Gemm.ceil(rows, SLAB), TOKENS);
        split.choose(slab, n, k, workers);
        for (first = 0; first < rows; first += slab) {
            m = Math.min(slab, rows - first);
            kept = shared.floats(Slot.RESULT, split.kept() * keptSums() / 4);
            split.launch(workers, task, finish);
        }
    }

    private int panels() {
        return Gemm.ceil(m, TOKENS);
    }

    private void chunk(int chunk, Scratch scratch) {
        int col = split.column(chunk);
        int cols = split.endColumn(chunk) - col;
        int part = split.part(chunk);
        for (int block = split.from(part); block < split.to(part); block++) {
            int start = Blocks.start(k, block);
            int end = Blocks.start(k, block + 1);
            if (split.opens(block)) {
                sumBlock(scratch, start, end, col, cols, kept, keptAt(split.place(block), 0, col), keptOfPanel());
            } else {
                MemorySegment sums = scratch.floats(Slot.RESULT, panels() * sumsOf(cols) / 4);
                sumBlock(scratch, start, end, col, cols, sums, 0, sumsOf(cols));
                for (int panel = 0; panel < panels(); panel++) {
                    addSums(sums, panel * sumsOf(cols), panel, col, cols);
                }
            }
        }
        if (split.parts == 1) {
            write(scratch, col, cols);
        }
    }

    private void finishChunk(int chunk, Scratch scratch) {
        int col = split.piece(chunk);
        int cols = split.endOfPiece(chunk) - col;
        for (int place = 1; place < split.kept(); place++) {
            for (int panel = 0; panel < panels(); panel++) {
                addSums(kept, keptAt(place, panel, col), panel, col, cols);
            }
        }
        write(scratch, col, cols);
    }

    /** Bytes of all sums that are kept in one place. */
    private long keptSums() {
        return panels() * keptOfPanel();
    }

    private long keptOfPanel() {
        return sumsOf(n);
    }

    private long keptAt(int place, int panel, int col) {
        return place * keptSums() + panel * keptOfPanel() + sumsOf(col);
    }

    /** Adds the sums of a block to those before. */
    private void addSums(MemorySegment sums, long at, int panel, int col, int cols) {
        Copies.addRow(1f, sums, at, kept, keptAt(0, panel, col), (int) (sumsOf(cols) / 4));
    }

    /** Sums over {@code from <= row < to}, for columns from {@code col} on; those of a panel begin {@code ofPanel} bytes after the last one's. */
    private void sumBlock(
            Scratch scratch, int from, int to, int col, int cols, MemorySegment sums, long at, long ofPanel) {
        for (int panel = 0; panel < panels(); panel++) {
            Copies.zeroRow(sums, at + panel * ofPanel, (int) (sumsOf(cols) / 4));
        }
        for (int packed = from; packed < to; packed += PACKED) {
            int end = Math.min(to, packed + PACKED);
            pack(scratch, packed, end);
            for (int row = packed; row < end; row += BLOCK) {
                updateBlock(scratch, row, Math.min(end, row + BLOCK), row - packed, col, cols, sums, at, ofPanel);
            }
        }
    }

    /** Bytes of a panel's sums, [pair of columns][2 vectors], for as many columns as fill vectors. */
    private static long sumsOf(int cols) {
        return VECTOR * Lanes.N * Gemm.ceil(cols, Lanes.N);
    }

    /** Adds rows {@code from <= row < to}, whose coefficients are the {@code packed}th and the following. */
    private void updateBlock(
            Scratch scratch, int from, int to, int packed, int col, int cols, MemorySegment sums, long at, long ofPanel) {
        for (int row = from; row < to; row += ROWS) {
            if (!inPlace(to - row, cols)) {
                copy(scratch, row, Math.min(ROWS, to - row), col, cols);
            }
        }
        for (int panel = 0; panel < panels(); panel++) {
            for (int row = from; row < to; row += ROWS) {
                update(scratch, coefficientsAt(panel, packed + row - from), row, to - row, col, cols, sums, at + panel * ofPanel);
            }
        }
    }

    /**
     * Packs the coefficients of all panels for some rows, up to whole squares: each token's twice, zero beyond the last row. Every chunk
     * packs its own: packed once for all threads, they came from another core or from the last cache, and kept updates waiting.
     */
    private void pack(Scratch scratch, int from, int to) {
        MemorySegment coefficients = coefficients(scratch);
        MemorySegment square = scratch.floats(Slot.SQUARE, (long) Lanes.N * Lanes.N);
        for (int panel = 0; panel < panels(); panel++) {
            int token = panel * TOKENS;
            int tokens = Math.min(TOKENS, m - token);
            for (int row = from; row < to; row += Lanes.N) {
                Transposer.square(dy.segment, dy.bytes(first + token, row), 4 * dy.row, tokens, Math.min(Lanes.N, k - row), square);
                Pairs.twice(square, Lanes.N, coefficients, coefficientsAt(panel, row - from));
            }
        }
    }

    private MemorySegment coefficients(Scratch scratch) {
        return scratch.floats(Slot.PACK, coefficientsAt(panels(), 0) / 4);
    }

    /** Where the coefficients of a panel for a packed row are, two vectors a row. */
    private static long coefficientsAt(int panel, int row) {
        return 2 * VECTOR * ((long) panel * PACKED + row);
    }

    /** Whether weights are BF16 and widened in registers, once for each panel. */
    private boolean byFours() {
        return Tiles.WIDE && w.type == DType.BF16 && panels() <= PairTiles.BF16_PANELS;
    }

    /** Whether an update of the next {@code rows} rows can read them where they lie. */
    private boolean inPlace(int rows, int cols) {
        return rows >= ROWS && (byFours() ? cols % 4 == 0 : w.type == DType.F32 && cols % 2 == 0);
    }

    private void update(Scratch scratch, long d, int row, int rows, int col, int cols, MemorySegment sums, long at) {
        boolean inPlace = inPlace(rows, cols);
        MemorySegment from = inPlace ? w.segment : copies(scratch);
        long fromAt = inPlace ? w.bytes(row, col) : copyAt(row);
        long fromRow = inPlace ? w.type.bytes() * w.row : split.copyRow();
        if (byFours()) {
            PairUpdateTiles.updateBf16(from, fromAt, fromRow, coefficients(scratch), d, Gemm.ceil(cols, 4), sums, at);
        } else {
            PairUpdateTiles.update(from, fromAt, fromRow, coefficients(scratch), d, Gemm.ceil(cols, 2), sums, at);
        }
    }

    private MemorySegment copies(Scratch scratch) {
        return scratch.floats(Slot.WIDENED, COPIES * ROWS * split.copyRow() / 4);
    }

    private long copyAt(int row) {
        return row / ROWS % COPIES * ROWS * split.copyRow();
    }

    /** Copies an update's rows, widened unless they go by fours. Zero beyond the last row of a block, and beside the last column. */
    private void copy(Scratch scratch, int row, int rows, int col, int cols) {
        MemorySegment to = copies(scratch);
        if (!byFours()) {
            Convert.widenRows(w, row, rows, col, cols, to, copyAt(row), split.copyRow(), ROWS, cols + cols % 2);
            return;
        }
        for (int r = 0; r < ROWS; r++) {
            long at = copyAt(row) + r * split.copyRow();
            Copies.zeroRow(to, at, 2 * Gemm.ceil(cols, 4));
            if (r < rows) {
                MemorySegment.copy(w.segment, w.bytes(row + r, col), to, at, 2L * cols);
            }
        }
    }

    private void write(Scratch scratch, int col, int cols) {
        for (int panel = 0; panel < panels(); panel++) {
            write(scratch, panel, keptAt(0, panel, col), col, cols);
        }
    }

    private void write(Scratch scratch, int panel, long at, int col, int cols) {
        MemorySegment square = scratch.floats(Slot.SQUARE, (long) Lanes.N * Lanes.N);
        if (byFours()) {
            Pairs.regroup(kept, at, Gemm.ceil(cols, 4));
        }
        for (int half = 0; half < 2; half++) {
            int token = panel * TOKENS + half * TOKENS / 2;
            int tokens = Math.min(TOKENS / 2, m - token);
            for (int x = 0; x < cols && tokens > 0; x += Lanes.N) {
                long from = at + VECTOR * (x + half);
                long to = dx.bytes(first + token, col + x);
                if (tokens == TOKENS / 2 && x + Lanes.N <= cols) {
                    Transposer.squareOfPairs(kept, from, 2 * VECTOR, dx.segment, to, 4 * dx.row, add, square);
                } else {
                    Transposer.squareOfPairs(kept, from, 2 * VECTOR, square, 0, VECTOR, false, square);
                    Tiles.write(square, VECTOR, tokens, Math.min(Lanes.N, cols - x), dx.segment, to, 4 * dx.row, add);
                }
            }
        }
    }
}

package obsprop.kernel.cpu;

import java.lang.foreign.MemorySegment;
import obsprop.kernel.cpu.Scratch.Slot;

/**
 * {@code dY W} for many tokens: columns of W are packed, group by group, as in {@link Blocks}; rows of dY are read in place. Both W's
 * rows and those of dX lie thousands of bytes apart, so that a column of them falls into a few sets of every cache: W is read once, and
 * sums are kept together, tile by tile, until k ends.
 *
 * <p>Sums run over k in order, in {@link Blocks#count blocks}.
 */
final class PanelProducts {
    private static final int ROWS = Tiles.ROWS;
    private static final int WIDTH = Tiles.WIDTH;
    private static final int GROUP = Blocks.GROUP;
    /** Rows of dY in a chunk at most, each of which packs its part of W: 512 KiB of sums with one group of columns. */
    private static final int MOST_ROWS = 171 * ROWS;
    /** Rows at least, where there are threads for more chunks than groups of columns. */
    private static final int FEWEST_ROWS = 16 * ROWS;
    /** Sums of a chunk of several groups at most, 384 KiB: they stay in L2 beside a group of W. */
    private static final int SUMS = 3 << 15;
    /** Groups of columns in a chunk at most; dY passes through once a group. */
    private static final int MOST_GROUPS = 8;
    /** What a chunk costs beside its columns, in columns. */
    private static final int OVERHEAD_COLUMNS = 16;

    private final Workers.Task task = this::chunk;
    private final Matrix dy;
    private final Matrix w;
    private final Matrix dx;
    private final Pieces columns = new Pieces();
    private int m;
    private int n;
    private int k;
    private int blockRows;
    private boolean add;

    /** Operands: dy [m,k] in F32, w [k,n], dx [m,n], all with unit column stride. */
    PanelProducts(Matrix dy, Matrix w, Matrix dx) {
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
        int forThreads = Math.min(Gemm.ceil(2 * workers.threads(), Gemm.ceil(n, GROUP)), Gemm.ceil(m, FEWEST_ROWS));
        int blocks = Math.max(Gemm.ceil(m, MOST_ROWS), forThreads);
        blockRows = Gemm.evenPiece(m, blocks, ROWS);
        int groups = Math.clamp(SUMS / (GROUP * blockRows), 1, MOST_GROUPS);
        columns.cut(n, GROUP, groups * GROUP, OVERHEAD_COLUMNS, workers);
        Gemm.launch(workers, task, Gemm.ceil(m, blockRows) * columns.count(), (long) m * n * k);
    }

    private void chunk(int chunk, Scratch scratch) {
        int piece = chunk % columns.count();
        int row = chunk / columns.count() * blockRows;
        int col = columns.start(piece);
        int rows = Math.min(blockRows, m - row);
        int cols = columns.size(piece);
        // The chunk's part of dX, [panel of columns][tile of rows][ROWS][WIDTH].
        long panelOfSums = 4L * Gemm.ceil(rows, ROWS) * Tiles.SIZE;
        MemorySegment sums = scratch.floats(Slot.RESULT, Gemm.ceil(cols, WIDTH) * panelOfSums / 4);
        // Columns inside: the hardware has then fetched the next group of the same rows of W.
        for (int block = 0; block < Blocks.count(k); block++) {
            int depth = Blocks.start(k, block);
            int deep = Blocks.start(k, block + 1) - depth;
            for (int j = 0; j < cols; j += GROUP) {
                int width = Math.min(GROUP, cols - j);
                MemorySegment packed = Blocks.pack(scratch, w, depth, deep, col + j, width);
                for (int x = 0; x < width; x += WIDTH) {
                    multiply(scratch, packed, x / WIDTH, depth, deep, row, rows, sums, (j + x) / WIDTH * panelOfSums);
                }
            }
        }
        // Row by row: runs of memory.
        for (int t = 0; t < rows; t++) {
            for (int x = 0; x < cols; x += WIDTH) {
                long from = x / WIDTH * panelOfSums + 4L * WIDTH * t;
                Tiles.writeRow(sums, from, Math.min(WIDTH, cols - x), dx.segment, dx.bytes(row + t, col + x), add);
            }
        }
    }

    /** Adds one block of k of a packed panel to its sums; the first overwrites. */
    private void multiply(
            Scratch scratch, MemorySegment packed, int panel, int depth, int deep, int row, int rows, MemorySegment sums, long at) {
        MemorySegment tile = scratch.floats(Slot.TILE, Tiles.SIZE);
        int some;
        for (int t = 0; t < rows; t += some) {
            some = Tiles.next(rows - t);
            long from = dy.bytes(row + t, depth);
            long to = at + 4L * t * WIDTH;
            if (depth == 0) {
                Tiles.multiply(dy.segment, from, 4 * dy.row, some, packed, 4L * Blocks.PANEL * panel, deep, sums, to);
            } else {
                Tiles.multiply(dy.segment, from, 4 * dy.row, some, packed, 4L * Blocks.PANEL * panel, deep, tile, 0);
                Copies.addRow(1f, tile, 0, sums, to, some * WIDTH);
            }
        }
    }
}

package obsprop.kernel.cpu;

import java.lang.foreign.MemorySegment;
import obsprop.kernel.cpu.Scratch.Slot;

/**
 * {@code dY W} for many tokens: columns of W are packed, group by group, as in {@link Blocks}, dY once for all threads. Both W's rows
 * and those of dX lie thousands of bytes apart, so that a column of them falls into a few sets of every cache: W is read once, and sums
 * are kept together, tile by tile, until k ends.
 *
 * <p>Sums run over k in order, in blocks of {@link Blocks#DEPTH}.
 */
final class PanelProducts {
    private static final int ROWS = Tiles.ROWS;
    private static final int WIDTH = Tiles.WIDTH;
    private static final int DEPTH = Blocks.DEPTH;
    private static final int GROUP = Blocks.GROUP;
    /** Chunks of rows whose dY is packed at a time: it should not grow with the rows. */
    private static final int SLAB = 4;
    /** Sums of a chunk at most, 384 KiB: they stay in L2 beside a group of W. */
    private static final int SUMS = 3 << 15;
    /** Groups of columns in a chunk; dY passes through once a chunk. */
    private static final int FEWEST_GROUPS = 2;
    private static final int MOST_GROUPS = 8;
    /** What a chunk costs beside its columns, in columns. */
    private static final int OVERHEAD_COLUMNS = 16;

    private final Workers.Task pack = this::packBlock;
    private final Workers.Task task = this::chunk;
    private final Scratch shared = new Scratch();
    private final Matrix dy;
    private final Matrix w;
    private final Matrix dx;
    private int n;
    private int k;
    private int columns;
    private int blockRows;
    private int slabRow;
    private int slabRows;
    private boolean add;
    private MemorySegment packed = MemorySegment.NULL;

    /** Operands: dy [m,k] in F32, w [k,n], dx [m,n], all with unit column stride. */
    PanelProducts(Matrix dy, Matrix w, Matrix dx) {
        this.dy = dy;
        this.w = w;
        this.dx = dx;
    }

    /** For k > 0. */
    void run(Workers workers, int rows, int cols, int depth, boolean accumulate) {
        n = cols;
        k = depth;
        add = accumulate;
        blockRows = Gemm.blockRows(rows);
        int groups = Math.clamp(SUMS / (GROUP * blockRows), FEWEST_GROUPS, MOST_GROUPS);
        columns = Gemm.evenShare(n, GROUP, groups * GROUP, OVERHEAD_COLUMNS, workers);
        packed = shared.floats(Slot.PACK, (long) Math.min(rows, SLAB * blockRows) * k);
        for (slabRow = 0; slabRow < rows; slabRow += slabRows) {
            slabRows = Math.min(SLAB * blockRows, rows - slabRow);
            Gemm.launch(workers, pack, Gemm.ceil(k, DEPTH), 8L * slabRows * k);
            int chunks = Gemm.ceil(slabRows, blockRows) * Gemm.ceil(n, columns);
            Gemm.launch(workers, task, chunks, (long) slabRows * n * k);
        }
    }

    /** One block of k of a slab of dY, row after row. */
    private void packBlock(int block, Scratch scratch) {
        int depth = block * DEPTH;
        int deep = Math.min(DEPTH, k - depth);
        for (int t = 0; t < slabRows; t++) {
            Copies.copyRow(dy.segment, dy.bytes(slabRow + t, depth), packed, packedAt(t, depth, deep), deep);
        }
    }

    private long packedAt(int row, int depth, int deep) {
        return 4L * ((long) slabRows * depth + (long) deep * row);
    }

    private void chunk(int chunk, Scratch scratch) {
        int across = Gemm.ceil(n, columns);
        int row = chunk / across * blockRows;
        int col = chunk % across * columns;
        int rows = Math.min(blockRows, slabRows - row);
        int cols = Math.min(columns, n - col);
        // The chunk's part of dX, [panel of columns][tile of rows][ROWS][WIDTH].
        long panelOfSums = 4L * Gemm.ceil(rows, ROWS) * Tiles.SIZE;
        MemorySegment sums = scratch.floats(Slot.RESULT, Gemm.ceil(cols, WIDTH) * panelOfSums / 4);
        // Columns inside: the hardware has then fetched the next group of the same rows of W.
        for (int depth = 0; depth < k; depth += DEPTH) {
            for (int j = 0; j < cols; j += GROUP) {
                int width = Math.min(GROUP, cols - j);
                Blocks.packGroup(scratch, w, depth, Math.min(DEPTH, k - depth), col + j, width);
                for (int x = 0; x < width; x += WIDTH) {
                    multiply(scratch, depth, row, rows, x / WIDTH, sums, (j + x) / WIDTH * panelOfSums);
                }
            }
        }
        // Row by row: runs of memory.
        for (int t = 0; t < rows; t++) {
            for (int x = 0; x < cols; x += WIDTH) {
                long from = x / WIDTH * panelOfSums + 4L * WIDTH * t;
                Tiles.writeRow(sums, from, Math.min(WIDTH, cols - x), dx.segment, dx.bytes(slabRow + row + t, col + x), add);
            }
        }
    }

    /** Adds one block of k of a packed panel to its sums; the first overwrites. */
    private void multiply(Scratch scratch, int depth, int row, int rows, int panel, MemorySegment sums, long at) {
        int deep = Math.min(DEPTH, k - depth);
        MemorySegment panels = Blocks.packed(scratch);
        MemorySegment tile = scratch.floats(Slot.TILE, Tiles.SIZE);
        for (int t = 0; t < rows; t += ROWS) {
            int some = Math.min(ROWS, rows - t);
            long from = packedAt(row + t, depth, deep);
            long to = at + 4L * t * WIDTH;
            if (depth == 0) {
                Tiles.multiply(packed, from, 4L * deep, some, panels, 4L * Blocks.PANEL * panel, deep, sums, to);
            } else {
                Tiles.multiply(packed, from, 4L * deep, some, panels, 4L * Blocks.PANEL * panel, deep, tile, 0);
                Copies.addRow(1f, tile, 0, sums, to, Tiles.SIZE);
            }
        }
    }
}

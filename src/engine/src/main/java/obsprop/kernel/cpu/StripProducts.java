package obsprop.kernel.cpu;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import obsprop.kernel.cpu.Scratch.Slot;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;

/**
 * {@code dY W} for a weight b that fits L2, with any number of rows of a: nothing is packed or widened beforehand. A strip of columns, as
 * wide as a tile, is read where it lies, by four rows of a after the other. Other types than F32 and BF16, and ragged edges, go
 * through a copy.
 *
 * <p>Sums run in the order of k, in {@link Blocks#count blocks}.
 */
final class StripProducts {
    /** Elements of the largest weight. In BF16 it takes half of an L2 of 1 MiB. */
    private static final long SMALL_WEIGHT = 1 << 18;
    /** Its columns: what has longer rows is more often a head's share of a large weight, which comes from memory. */
    private static final int SMALL_COLUMNS = 512;
    /** Multiply-adds, some ten microseconds, below which a hand-off to other threads costs more than it saves. */
    private static final long SMALL = 1_000_000;
    /** Rows of a in a chunk. */
    private static final int CHUNK_ROWS = 32;

    private final Workers.Task task = this::chunk;
    private final Matrix a;
    private final Matrix b;
    private final Matrix c;
    private int m;
    private int n;
    private int k;
    private boolean add;
    private int columns;

    /** Operands: a [m,k] in F32, b [k,n], c [m,n], all with unit column stride. */
    StripProducts(Matrix a, Matrix b, Matrix c) {
        this.a = a;
        this.b = b;
        this.c = c;
    }

    /** Whether a weight [k,n] goes this way. */
    static boolean small(long n, long k) {
        return n > 0 && k > 0 && n <= SMALL_COLUMNS && n * k <= SMALL_WEIGHT;
    }

    /** A transposed copy of a small weight, in its type. */
    static Tensor transposed(Arena arena, Tensor weight) {
        int rows = weight.size(0);
        int cols = weight.size(1);
        Tensor to = Tensor.allocate(arena, weight.dtype(), cols, rows);
        if (weight.dtype().bytes() == 4) {
            // Through arrays: this runs once, mostly in the interpreter.
            int[] from = new int[rows * cols];
            int[] turned = new int[rows * cols];
            MemorySegment.copy(weight.segment(), ValueLayout.JAVA_INT_UNALIGNED, 0, from, 0, from.length);
            for (int i = 0, at = 0; i < rows; i++) {
                for (int j = 0; j < cols; j++) {
                    turned[j * rows + i] = from[at++];
                }
            }
            MemorySegment.copy(turned, 0, to.segment(), ValueLayout.JAVA_INT_UNALIGNED, 0, turned.length);
        } else {
            short[] from = new short[rows * cols];
            short[] turned = new short[rows * cols];
            MemorySegment.copy(weight.segment(), ValueLayout.JAVA_SHORT_UNALIGNED, 0, from, 0, from.length);
            for (int i = 0, at = 0; i < rows; i++) {
                for (int j = 0; j < cols; j++) {
                    turned[j * rows + i] = from[at++];
                }
            }
            MemorySegment.copy(turned, 0, to.segment(), ValueLayout.JAVA_SHORT_UNALIGNED, 0, turned.length);
        }
        return to;
    }

    void run(Workers workers, int rows, int cols, int depth, boolean accumulate) {
        m = rows;
        n = cols;
        k = depth;
        add = accumulate;
        boolean inline = (long) m * n * k <= SMALL || workers.threads() == 1;
        columns = inline ? n : Gemm.share(n, StripTiles.COLUMNS, workers);
        int chunks = Gemm.ceil(m, CHUNK_ROWS) * Gemm.ceil(n, columns);
        if (inline) {
            workers.runInline(task, chunks);
        } else {
            workers.run(task, chunks);
        }
    }

    private void chunk(int chunk, Scratch scratch) {
        int across = Gemm.ceil(n, columns);
        int row = chunk / across * CHUNK_ROWS;
        int col = chunk % across * columns;
        int rows = Math.min(CHUNK_ROWS, m - row);
        int end = Math.min(n, col + columns);
        for (int block = 0; block < Blocks.count(k); block++) {
            int depth = Blocks.start(k, block);
            int deep = Blocks.start(k, block + 1) - depth;
            for (int j = col; j < end; j += StripTiles.COLUMNS) {
                strip(scratch, row, rows, j, Math.min(StripTiles.COLUMNS, end - j), depth, deep);
            }
        }
    }

    /** One block of k for a strip of columns. */
    private void strip(Scratch scratch, int row, int rows, int col, int cols, int depth, int deep) {
        Matrix d = scratch.a.set(a).at(row, depth);
        Matrix w = scratch.b.set(b).at(depth, col);
        boolean whole = cols == StripTiles.COLUMNS;
        boolean pairs = whole && b.type == DType.BF16;
        if (!pairs && !(whole && b.type == DType.F32)) {
            widen(scratch, w, deep, cols);
        }
        MemorySegment tile = scratch.floats(Slot.TILE, StripTiles.SIZE);
        for (int t = 0; t < rows; t += StripTiles.ROWS) {
            int some = Math.min(StripTiles.ROWS, rows - t);
            long to = c.bytes(row + t, col);
            long dAt = d.bytes(t, 0);
            long wAt = w.bytes(0, 0);
            if (pairs) {
                StripTiles.sumsBf16(d.segment, dAt, 4 * d.row, some, w.segment, wAt, 2 * w.row, deep, tile);
                Pairs.write(tile, some, cols, c.segment, to, 4 * c.row, add || depth > 0);
            } else {
                StripTiles.sums(d.segment, dAt, 4 * d.row, some, w.segment, wAt, 4 * w.row, deep, tile);
                Tiles.write(tile, 4L * StripTiles.COLUMNS, some, cols, c.segment, to, 4 * c.row, add || depth > 0);
            }
        }
    }

    /** Turns a view of a strip into one of an F32 copy as wide as a tile; what lies beyond is not looked at. */
    private static void widen(Scratch scratch, Matrix w, int deep, int cols) {
        MemorySegment copy = scratch.floats(Slot.WIDENED, (long) Blocks.DEPTH * StripTiles.COLUMNS);
        for (int i = 0; i < deep; i++) {
            Convert.widen(w.segment, w.bytes(i, 0), w.type, copy, 4L * StripTiles.COLUMNS * i, cols);
        }
        w.set(copy, 0, StripTiles.COLUMNS, 1);
    }
}

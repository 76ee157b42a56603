package obsprop.kernel.cpu;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import obsprop.kernel.cpu.Scratch.Slot;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;

/**
 * {@code dY W}: nothing of the weight b is packed or widened beforehand. A strip of its columns, as wide as a tile, is read where it
 * lies, by four rows of a after the other: from memory by the first four, by the others from a cache. Other types than F32 and
 * BF16, and ragged edges, go through a copy.
 *
 * <p>Sums run in the order of k, in blocks of {@link Blocks#DEPTH}, like those of the other ways of {@code dY W}: a row's result must
 * not depend on the rows beside it.
 */
final class StripProducts {
    /** Elements of the largest weight that is called small. In BF16 it takes half of an L2 of 1 MiB. */
    private static final long SMALL_WEIGHT = 1 << 18;
    /** Its columns: what has longer rows is more often a head's share of a large weight, which comes from memory. */
    private static final int SMALL_COLUMNS = 512;
    /** Multiply-adds, some ten microseconds, below which a hand-off to other threads costs more than it saves. */
    private static final long SMALL = 1_000_000;
    /** Rows of a in a chunk, of a small weight and of a large one. */
    private static final int FEW_ROWS = 32;
    private static final int MANY_ROWS = 352;
    /** Rows of a up to which BF16 is better widened again and again than packed once as F32. */
    private static final int WIDENED_ROWS = 48;
    /** Columns of a large weight in a chunk at most: the more of a row are read one after the other, the better. */
    private static final int CHUNK_COLUMNS = 4096;
    /** What a chunk costs beside its columns, in columns. */
    private static final int OVERHEAD_COLUMNS = 16;

    private final Workers.Task task = this::chunk;
    private final Matrix a;
    private final Matrix b;
    private final Matrix c;
    private int m;
    private int n;
    private int k;
    private boolean add;
    private int columns;
    private int blockRows;

    /** Operands: a [m,k] in F32, b [k,n], c [m,n], all with unit column stride. */
    StripProducts(Matrix a, Matrix b, Matrix c) {
        this.a = a;
        this.b = b;
        this.c = c;
    }

    /** Whether a weight [k,n] goes this way whatever its type, even with few rows of a. */
    static boolean small(long n, long k) {
        return n > 0 && k > 0 && n <= SMALL_COLUMNS && n * k <= SMALL_WEIGHT;
    }

    /** Whether a larger weight goes this way with {@code rows} rows of a. */
    static boolean large(DType type, int rows) {
        return Tiles.WIDE && (type == DType.F32 || type == DType.BF16 && rows <= WIDENED_ROWS);
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
        if (small(n, k)) {
            columns = inline ? n : Gemm.share(n, StripTiles.COLUMNS, workers);
            blockRows = FEW_ROWS;
        } else {
            columns = Gemm.evenShare(n, StripTiles.COLUMNS, CHUNK_COLUMNS, OVERHEAD_COLUMNS, workers);
            blockRows = Gemm.ceil(Gemm.ceil(m, Gemm.ceil(m, MANY_ROWS)), StripTiles.ROWS) * StripTiles.ROWS;
        }
        int chunks = Gemm.ceil(m, blockRows) * Gemm.ceil(n, columns);
        if (inline) {
            workers.runInline(task, chunks);
        } else {
            workers.run(task, chunks);
        }
    }

    private void chunk(int chunk, Scratch scratch) {
        int across = Gemm.ceil(n, columns);
        int row = chunk / across * blockRows;
        int col = chunk % across * columns;
        int rows = Math.min(blockRows, m - row);
        int end = Math.min(n, col + columns);
        // Columns inside: the hardware has then fetched the next strip of the same rows of b.
        for (int depth = 0; depth < k; depth += Blocks.DEPTH) {
            for (int j = col; j < end; ) {
                int cols = width(end - j);
                strip(scratch, row, rows, j, cols, depth);
                j += cols;
            }
        }
    }

    /** Columns of the next strip, so that whole tiles are left as long as possible. */
    private int width(int left) {
        int wide = StripTiles.WIDE_COLUMNS;
        int narrow = StripTiles.COLUMNS;
        boolean fits = left == wide || left == wide + narrow || left >= 2 * wide;
        return fits && !small(n, k) ? wide : Math.min(narrow, left);
    }

    /** One block of k for a strip of columns. */
    private void strip(Scratch scratch, int row, int rows, int col, int cols, int depth) {
        int deep = Math.min(Blocks.DEPTH, k - depth);
        Matrix d = scratch.a.set(a).at(row, depth);
        Matrix w = scratch.b.set(b).at(depth, col);
        boolean wide = cols == StripTiles.WIDE_COLUMNS;
        boolean whole = wide || cols == StripTiles.COLUMNS;
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
            if (pairs && wide) {
                StripTiles.sumsWideBf16(d.segment, dAt, 4 * d.row, some, w.segment, wAt, 2 * w.row, deep, tile);
            } else if (pairs) {
                StripTiles.sumsBf16(d.segment, dAt, 4 * d.row, some, w.segment, wAt, 2 * w.row, deep, tile);
            } else if (wide) {
                StripTiles.sumsWide(d.segment, dAt, 4 * d.row, some, w.segment, wAt, 4 * w.row, deep, tile);
            } else {
                StripTiles.sums(d.segment, dAt, 4 * d.row, some, w.segment, wAt, 4 * w.row, deep, tile);
            }
            if (pairs) {
                Pairs.write(tile, some, cols, c.segment, to, 4 * c.row, add || depth > 0);
            } else {
                long tileRow = 4L * (wide ? StripTiles.WIDE_COLUMNS : StripTiles.COLUMNS);
                Tiles.write(tile, tileRow, some, cols, c.segment, to, 4 * c.row, add || depth > 0);
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

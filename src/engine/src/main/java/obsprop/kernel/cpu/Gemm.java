package obsprop.kernel.cpu;

import java.lang.foreign.MemorySegment;
import obsprop.kernel.Transpose;
import obsprop.kernel.Write;
import obsprop.kernel.cpu.Scratch.Slot;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;

/**
 * {@code c (+)= op(a) op(b)} over all threads; one object serves one call at a time. Three ways, chosen by shape alone:
 *
 * <ul>
 *   <li>{@code X W^T} for few tokens: dot products along k, W streamed once;
 *   <li>{@code X W^T} for many: X packed once for all threads, rows of W in place, the transposed result turned at the end;
 *   <li>all else ({@code dY W}, transposed a): columns of b packed block by block, rows of a in place.
 * </ul>
 */
final class Gemm {
    /** Up to this many tokens dot products beat half-empty panels. */
    private static final int FEW_TOKENS = Tiles.WIDTH / 2;
    /** Rows of W in a chunk: a multiple of the tile and of every vector length but for the last chunk. */
    private static final int CHUNK_ROWS = 96;
    /** Tokens in a chunk: bounds the transposed result that a thread holds. */
    private static final int CHUNK_TOKENS = 4 * Tiles.WIDTH;
    /** Rows and columns of c in a chunk of the general product. */
    private static final int BLOCK_ROWS = 42 * Tiles.ROWS;

    private static final int BLOCK_COLS = 2 * Tiles.WIDTH;
    /** Multiply-adds below which a hand-off to other threads costs more than it saves. */
    private static final long SMALL = 200_000;

    private final Workers.Task dots = this::dotChunk;
    private final Workers.Task pack = this::packChunk;
    private final Workers.Task turned = this::turnedChunk;
    private final Workers.Task general = this::generalChunk;
    /** X packed as panels [k][WIDTH], block of k after block of k. */
    private final Scratch shared = new Scratch();

    private final Matrix a = new Matrix();
    private final Matrix b = new Matrix();
    private final Matrix c = new Matrix();
    private int m;
    private int n;
    private int k;
    private boolean add;
    private MemorySegment packed = MemorySegment.NULL;

    /** See {@link obsprop.kernel.Kernels#gemm}. */
    void run(Workers workers, Tensor left, Transpose transA, Tensor right, Transpose transB, Tensor out, Write write) {
        a.set(left, transA);
        b.set(right, transB);
        c.set(out, Transpose.NO);
        m = out.size(0);
        n = out.size(1);
        k = left.size(transA == Transpose.NO ? 1 : 0);
        add = write == Write.ACCUMULATE;
        boolean rowsTimesRows = transA == Transpose.NO && transB == Transpose.YES && a.type == DType.F32;
        if (rowsTimesRows && m <= FEW_TOKENS) {
            launch(workers, dots, ceil(n, CHUNK_ROWS));
        } else if (rowsTimesRows) {
            packed = shared.floats(Slot.PACK, (long) panels() * Tiles.WIDTH * k);
            launch(workers, pack, panels() * ceil(k, Blocks.DEPTH));
            launch(workers, turned, ceil(n, CHUNK_ROWS) * ceil(m, CHUNK_TOKENS));
        } else {
            launch(workers, general, ceil(n, BLOCK_COLS) * ceil(m, BLOCK_ROWS));
        }
    }

    private void launch(Workers workers, Workers.Task task, int chunks) {
        if ((long) m * n * k <= SMALL) {
            workers.runInline(task, chunks);
        } else {
            workers.run(task, chunks);
        }
    }

    private static int ceil(int x, int unit) {
        return (x + unit - 1) / unit;
    }

    private int panels() {
        return ceil(m, Tiles.WIDTH);
    }

    // ---- X W^T, few tokens

    private void dotChunk(int chunk, Scratch scratch) {
        int first = chunk * CHUNK_ROWS;
        int last = Math.min(n, first + CHUNK_ROWS);
        int whole = Lanes.whole(k);
        MemorySegment out = scratch.floats(Slot.TILE, 12L * Lanes.N);
        boolean wide = b.type == DType.F32;
        MemorySegment widened = wide ? b.segment : scratch.floats(Slot.WIDENED, 3L * k);
        for (int row = first; row < last; row += 3) {
            int rows = Math.min(3, last - row);
            if (!wide) {
                for (int r = 0; r < rows; r++) {
                    Convert.widen(b.segment, b.bytes(0, row + r), b.type, widened, 4L * k * r, k);
                }
            }
            long wAt = wide ? b.bytes(0, row) : 0;
            long wRow = wide ? 4 * b.col : 4L * k;
            for (int token = 0; token < m; token += 4) {
                int tokens = Math.min(4, m - token);
                Tiles.dot3x4(widened, wAt, wRow, rows, a.segment, a.bytes(token, 0), 4 * a.row, tokens, whole, out);
                finishDots(widened, wAt, wRow, row, rows, token, tokens, whole, out);
            }
        }
    }

    /** Adds what k has beyond whole vectors and writes the tile. */
    private void finishDots(
            MemorySegment w, long wAt, long wRow, int row, int rows, int token, int tokens, int whole, MemorySegment out) {
        for (int t = 0; t < tokens; t++) {
            long xAt = a.bytes(token + t, 0);
            long cAt = c.bytes(token + t, row);
            for (int r = 0; r < rows; r++) {
                float sum = Lanes.sum(out, (long) Lanes.BYTES * (4 * r + t));
                for (int i = whole; i < k; i++) {
                    sum = Math.fma(Lanes.get(w, wAt + r * wRow + 4L * i), Lanes.get(a.segment, xAt + 4L * i), sum);
                }
                Lanes.set(c.segment, cAt + 4L * r, add ? Lanes.get(c.segment, cAt + 4L * r) + sum : sum);
            }
        }
    }

    // ---- X W^T, many tokens

    private void packChunk(int chunk, Scratch scratch) {
        int panel = chunk % panels();
        int depth = chunk / panels() * Blocks.DEPTH;
        int deep = Math.min(Blocks.DEPTH, k - depth);
        int token = panel * Tiles.WIDTH;
        // Packing wants [k, tokens]: the transpose of a.
        Matrix turnedA = scratch.b.set(a.segment, a.offset, a.col, a.row);
        int tokens = Math.min(Tiles.WIDTH, m - token);
        Blocks.packPanel(scratch, turnedA, depth, deep, token, tokens, packed, packedAt(panel, depth, deep));
    }

    private long packedAt(int panel, int depth, int deep) {
        return 4L * Tiles.WIDTH * ((long) panels() * depth + (long) panel * deep);
    }

    private void turnedChunk(int chunk, Scratch scratch) {
        int rowChunks = ceil(n, CHUNK_ROWS);
        int row = chunk % rowChunks * CHUNK_ROWS;
        int rows = Math.min(CHUNK_ROWS, n - row);
        int token = chunk / rowChunks * CHUNK_TOKENS;
        int tokens = Math.min(CHUNK_TOKENS, m - token);
        long stride = 4L * ceil(tokens, Tiles.WIDTH) * Tiles.WIDTH;
        MemorySegment result = scratch.floats(Slot.TILE, CHUNK_ROWS * stride / 4);
        Copies.zeroRow(result, 0, (int) (CHUNK_ROWS * stride / 4));
        for (int depth = 0; depth < k; depth += Blocks.DEPTH) {
            addDepth(scratch, result, stride, row, rows, token, tokens, depth);
        }
        MemorySegment square = scratch.floats(Slot.SQUARE, (long) Lanes.N * Lanes.N);
        Transposer.run(result, 0, stride, c.segment, c.bytes(token, row), 4 * c.row, rows, tokens, add, square);
    }

    /** {@code result[rows of W, tokens] += W X^T} for one block of k. */
    private void addDepth(
            Scratch scratch, MemorySegment result, long stride, int row, int rows, int token, int tokens, int depth) {
        int deep = Math.min(Blocks.DEPTH, k - depth);
        boolean wide = b.type == DType.F32;
        MemorySegment w = wide ? b.segment : scratch.floats(Slot.WIDENED, 6L * Blocks.DEPTH);
        for (int r = 0; r < rows; r += Tiles.ROWS) {
            int some = Math.min(Tiles.ROWS, rows - r);
            if (!wide) {
                for (int i = 0; i < some; i++) {
                    Convert.widen(b.segment, b.bytes(depth, row + r + i), b.type, w, 4L * Blocks.DEPTH * i, deep);
                }
            }
            long wAt = wide ? b.bytes(depth, row + r) : 0;
            long wRow = wide ? 4 * b.col : 4L * Blocks.DEPTH;
            for (int t = 0; t < tokens; t += Tiles.WIDTH) {
                long xAt = packedAt((token + t) / Tiles.WIDTH, depth, deep);
                Tiles.add(w, wAt, wRow, 4, some, packed, xAt, deep, result, r * stride + 4L * t, stride);
            }
        }
    }

    // ---- all else

    private void generalChunk(int chunk, Scratch scratch) {
        int colChunks = ceil(n, BLOCK_COLS);
        int col = chunk % colChunks * BLOCK_COLS;
        int row = chunk / colChunks * BLOCK_ROWS;
        Matrix left = copyOf(a, scratch.a).at(row, 0);
        Matrix right = copyOf(b, scratch.b).at(0, col);
        Matrix out = copyOf(c, scratch.c).at(row, col);
        int rows = Math.min(BLOCK_ROWS, m - row);
        int cols = Math.min(BLOCK_COLS, n - col);
        Blocks.multiply(scratch, left, right, out, rows, cols, k, add);
    }

    private static Matrix copyOf(Matrix from, Matrix to) {
        to.segment = from.segment;
        to.type = from.type;
        to.offset = from.offset;
        to.row = from.row;
        to.col = from.col;
        return to;
    }
}

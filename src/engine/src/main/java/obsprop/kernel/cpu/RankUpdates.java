package obsprop.kernel.cpu;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import obsprop.kernel.cpu.Scratch.Slot;
import obsprop.tensor.DType;

/**
 * {@code dX (+)= dY W} for few tokens: four rows of W at a time meet all tokens, so that W is read once, in place and in
 * the order of memory. A chunk is a strip of columns and a part of k ({@link Split}); its sums for all tokens stay in the cache. BF16 is
 * widened by pairs in registers, and the sums are put in order at the end ({@link Pairs}).
 */
final class RankUpdates {
    private static final int ROWS = 4;

    private final Workers.Task pack = this::packChunk;
    private final Workers.Task task = this::chunk;
    private final Workers.Task finish = this::finishChunk;
    private final Split split = new Split();
    private final Scratch shared = new Scratch();
    private final Matrix dy;
    private final Matrix w;
    private final Matrix dx;
    private int m;
    private int n;
    private int k;
    private boolean add;
    private MemorySegment coefficients = MemorySegment.NULL;
    /** Sums that {@link Split} keeps, [kept][tokens][columns]. */
    private MemorySegment kept = MemorySegment.NULL;
    /** Bytes from token to token in sums: not a power of two, or all tokens would fall into two sets of the cache. */
    private long sumRow;

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
        split.choose(m, n, k, workers);
        coefficients = shared.floats(Slot.PACK, (long) Gemm.ceil(k, ROWS) * ROWS * m);
        sumRow = 4L * (Gemm.ceil(n, Lanes.N) + 1) * Lanes.N;
        kept = shared.floats(Slot.RESULT, split.kept() * m * sumRow / 4);
        Gemm.launch(workers, pack, Blocks.count(k), 8L * m * k);
        split.launch(workers, task, finish);
    }

    /** {@code coefficients[row / 4][t][r] = dy[t, row + r]}, zero beyond the last row. */
    private void packChunk(int block, Scratch scratch) {
        int end = Blocks.start(k, block + 1);
        for (int row = Blocks.start(k, block); row < end; row += ROWS) {
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
        int col = split.column(chunk);
        int cols = split.endColumn(chunk) - col;
        int part = split.part(chunk);
        for (int block = split.from(part); block < split.to(part); block++) {
            int start = Blocks.start(k, block);
            int end = Blocks.start(k, block + 1);
            if (split.opens(block)) {
                sumBlock(scratch, start, end, col, cols, kept, keptAt(split.place(block), col));
            } else {
                MemorySegment sums = scratch.floats(Slot.RESULT, m * sumRow / 4);
                sumBlock(scratch, start, end, col, cols, sums, 0);
                addSums(sums, 0, col, cols);
            }
        }
        if (split.parts == 1) {
            write(col, cols);
        }
    }

    private void finishChunk(int chunk, Scratch scratch) {
        int col = split.piece(chunk);
        int cols = split.endOfPiece(chunk) - col;
        for (int place = 1; place < split.kept(); place++) {
            addSums(kept, keptAt(place, col), col, cols);
        }
        write(col, cols);
    }

    private long keptAt(int place, int col) {
        return place * m * sumRow + 4L * col;
    }

    /** Sums over {@code from <= row < to}, for columns from {@code col} on, from byte {@code at} on. */
    private void sumBlock(Scratch scratch, int from, int to, int col, int cols, MemorySegment sums, long at) {
        for (int t = 0; t < m; t++) {
            Copies.zeroRow(sums, at + sumRow * t, Lanes.padded(cols));
        }
        for (int row = from; row < to; row += ROWS) {
            if (pairs()) {
                Tiles.addRank4Bf16(w.segment, w.bytes(row, col), 2 * w.row, coefficients, 4L * row * m, m, cols, sums, at, sumRow);
            } else {
                update(scratch, row, Math.min(ROWS, to - row), col, cols, sums, at);
            }
        }
    }

    /** Adds the sums of a block to those before. */
    private void addSums(MemorySegment sums, long at, int col, int cols) {
        for (int t = 0; t < m; t++) {
            Copies.addRow(1f, sums, at + sumRow * t, kept, keptAt(0, col) + sumRow * t, Lanes.padded(cols));
        }
    }

    private void write(int col, int cols) {
        for (int t = 0; t < m; t++) {
            long from = keptAt(0, col) + sumRow * t;
            if (pairs()) {
                Pairs.writeRow(kept, from, cols, dx.segment, dx.bytes(t, col), add);
            } else {
                Tiles.writeRow(kept, from, cols, dx.segment, dx.bytes(t, col), add);
            }
        }
    }

    /** Whether BF16 is widened in registers: strips are whole pairs of vectors then. */
    private boolean pairs() {
        return w.type == DType.BF16 && n % (2 * Lanes.N) == 0 && k % ROWS == 0;
    }

    private void update(Scratch scratch, int row, int rows, int col, int cols, MemorySegment sums, long at) {
        long d = 4L * row * m;
        int padded = Lanes.padded(cols);
        if (w.type == DType.F32 && rows == ROWS && padded == cols) {
            Tiles.addRank4(w.segment, w.bytes(row, col), 4 * w.row, coefficients, d, m, cols, sums, at, sumRow);
            return;
        }
        // Ragged or narrow: through a padded copy.
        MemorySegment copy = scratch.floats(Slot.WIDENED, ROWS * split.copyRow() / 4);
        Convert.widenRows(w, row, rows, col, cols, copy, 0, split.copyRow(), ROWS, padded);
        Tiles.addRank4(copy, 0, split.copyRow(), coefficients, d, m, padded, sums, at, sumRow);
    }
}

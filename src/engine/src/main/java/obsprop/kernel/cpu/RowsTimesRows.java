package obsprop.kernel.cpu;

import java.lang.foreign.MemorySegment;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicLong;
import obsprop.kernel.cpu.Scratch.Slot;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;

/**
 * {@code Y (+)= X W^T + b}: vectors run over tokens, weights are broadcast from where W lies, one by one or, with 32 registers, by pairs
 * ({@link PairTiles}). X is packed as panels of tokens, by each of a few threads for itself or once for all; each chunk of rows of W makes
 * its part of Y^T and turns it.
 *
 * <p>Sums begin with the bias and run over k in order, in blocks of {@link #DEPTH}; by pairs, each block is the sum of one over even k
 * and one over odd k.
 */
final class RowsTimesRows {
    /** Whether k goes by pairs ({@link PairTiles}): where there are registers for it. */
    private static final boolean PAIRS = Tiles.WIDE;
    /** Tokens of a panel. */
    private static final int TOKENS = PAIRS ? PairTiles.TOKENS : Tiles.WIDTH;
    /** Rows of W in a tile. */
    private static final int ROWS = PAIRS ? PairTiles.ROWS : Tiles.ROWS;
    /** k block: as many panels of it as a chunk has (512 KiB at 512 bit) stay in L2 while rows of W stream past. */
    private static final int DEPTH = PAIRS ? PairTiles.DEPTH : 512;
    /** Rows of W in a chunk at most, a multiple of both tiles and of every vector; X passes through once a chunk. */
    private static final int CHUNK_ROWS = 192;
    /** Rows of W in a chunk at least. */
    private static final int UNIT_ROWS = 48;
    /** What a chunk costs beside its rows, in rows: X comes from L3. */
    private static final int OVERHEAD_ROWS = 8;
    /** Floats of a packed X that stays in L2 while W passes through: half of the L2 of machines with such vectors. */
    private static final int IN_L2 = PAIRS ? 1 << 17 : 1 << 16;
    /** Floats of packed X, 8 MiB, that rows of W meet one chunk after the other: W then comes from memory once, and from L3 after that. */
    private static final long IN_L3 = 1 << 21;
    /** Panels in a chunk. */
    private static final int CHUNK_PANELS = PAIRS ? 8 : 4;
    /** What k has to be a multiple of for whole vectors to be widened ahead, with 16 registers. */
    private static final int AHEAD = 8;
    /** Floats from row to row of widened weights: not a power of two, or all would fall into the same sets of the cache. */
    private static final int WIDENED_ROW = DEPTH + 16;
    /** Floats from token to token of a panel of Y: the same. */
    private static final int TURNED_ROW = CHUNK_ROWS + 16;
    /**
     * Threads of which each packs X for itself: a copy for all passes from core to core when it is written and when it is first read, which
     * takes longer. Of more threads each would pack for too large a part of its time.
     */
    private static final int MOST_PACKERS = 4;
    /** Tokens up to which they do: more are read from L3 either way. */
    private static final int MOST_OWN = 256;
    /** Numbers calls, so that a thread knows what it has packed. */
    private static final AtomicLong CALLS = new AtomicLong();

    private final Workers.Task pack = this::packChunk;
    private final Workers.Task turned = this::turnedChunk;
    private final Scratch shared = new Scratch();
    private final Matrix x;
    private final Matrix w;
    private final Matrix y;
    private int m;
    private int n;
    private int k;
    private boolean add;
    /** Chunks of Y^T begin with this, unless it is empty. */
    private Optional<Tensor> bias = Optional.empty();
    /** Rows of W. */
    private final Pieces pieces = new Pieces();
    /** Chunks of panels that are worked on together; all others come later. */
    private int slabChunks;
    /** X packed for all threads; empty where each packs for itself. */
    private MemorySegment forAll = MemorySegment.NULL;
    private long call;

    /** Operands: x [m,k], w the view [k,n] of W [n,k], y [m,n]. A bias comes with {@link #run}. */
    RowsTimesRows(Matrix x, Matrix w, Matrix y) {
        this.x = x;
        this.w = w;
        this.y = y;
    }

    void run(Workers workers, int rows, int cols, int depth, Optional<Tensor> b, boolean accumulate) {
        m = rows;
        n = cols;
        k = depth;
        bias = b;
        add = accumulate;
        pieces.cut(n, UNIT_ROWS, CHUNK_ROWS, OVERHEAD_ROWS, workers);
        slabChunks = Math.clamp(IN_L3 / ((long) CHUNK_PANELS * TOKENS * Math.max(1, k)), 1, panelChunks());
        call = CALLS.incrementAndGet();
        forAll = MemorySegment.NULL;
        if (workers.threads() > MOST_PACKERS || m > MOST_OWN) {
            forAll = shared.floats(Slot.PACK, packedFloats());
            Gemm.launch(workers, pack, packChunks(), 8L * m * k);
        }
        Gemm.launch(workers, turned, pieces.count() * panelChunks(), (long) m * n * k);
    }

    private int panels() {
        return Gemm.ceil(m, TOKENS);
    }

    private int panelChunks() {
        return Gemm.ceil(panels(), CHUNK_PANELS);
    }

    private long packedFloats() {
        return (long) panels() * TOKENS * (k + k % 2);
    }

    private int packChunks() {
        return panels() * Gemm.ceil(k, DEPTH);
    }

    /** X as this thread reads it, which packs it first unless that is done. */
    private MemorySegment packed(Scratch scratch) {
        if (forAll.byteSize() > 0) {
            return forAll;
        }
        MemorySegment own = scratch.floats(Slot.PACK, packedFloats());
        if (scratch.packedFor != call) {
            for (int chunk = 0; chunk < packChunks(); chunk++) {
                packChunk(chunk, scratch, own);
            }
            scratch.packedFor = call;
        }
        return own;
    }

    private void packChunk(int chunk, Scratch scratch) {
        packChunk(chunk, scratch, forAll);
    }

    private void packChunk(int chunk, Scratch scratch, MemorySegment packed) {
        int panel = chunk % panels();
        int depth = chunk / panels() * DEPTH;
        int deep = Math.min(DEPTH, k - depth);
        int token = panel * TOKENS;
        int some = Math.min(TOKENS, m - token);
        long to = packedAt(panel, depth, deep);
        if (PAIRS) {
            MemorySegment square = scratch.floats(Slot.SQUARE, (long) Lanes.N * Lanes.N);
            Transposer.pairs(x.segment, x.bytes(token, depth), 4 * x.row, packed, to, some, deep, square);
        } else {
            // Packing wants [k, tokens]: the transpose of x.
            Matrix turnedX = scratch.b.set(x.segment, x.offset, x.col, x.row);
            Blocks.packPanel(scratch, turnedX, depth, deep, token, some, TOKENS, packed, to);
        }
    }

    private long packedAt(int panel, int depth, int deep) {
        return 4L * TOKENS * ((long) panels() * depth + (long) panel * (deep + deep % 2));
    }

    private void turnedChunk(int chunk, Scratch scratch) {
        int slab = chunk / (pieces.count() * slabChunks) * slabChunks;
        int across = Math.min(slabChunks, panelChunks() - slab);
        int inSlab = chunk - slab * pieces.count();
        int row = pieces.start(inSlab / across);
        int rows = pieces.size(inSlab / across);
        int firstPanel = (slab + inSlab % across) * CHUNK_PANELS;
        int lastPanel = Math.min(panels(), firstPanel + CHUNK_PANELS);
        MemorySegment result = scratch.floats(Slot.RESULT, (long) CHUNK_PANELS * CHUNK_ROWS * TOKENS);
        if (bias.isPresent()) {
            start(scratch, bias.get(), row, rows, result, lastPanel - firstPanel);
        } else if (k == 0) {
            Copies.zeroRow(result, 0, CHUNK_PANELS * CHUNK_ROWS * TOKENS);
        }
        if (!PAIRS && widensAhead(rows)) {
            multiplyAhead(scratch, result, row, rows);
        } else {
            // Where all of X stays in L2, rows of W can be read from end to end.
            boolean small = (long) panels() * TOKENS * k <= IN_L2;
            int tiles = Gemm.ceil(rows, ROWS);
            int atOnce = small ? 1 : tiles;
            for (int tile = 0; tile < tiles; tile += atOnce) {
                for (int depth = 0; depth < k; depth += DEPTH) {
                    multiply(scratch, result, row, rows, tile, Math.min(tiles, tile + atOnce), firstPanel, lastPanel, depth);
                }
            }
        }
        write(scratch, result, row, rows, firstPanel, lastPanel);
    }

    /** Turns a chunk's part of Y^T, and writes it token by token: in runs of memory. */
    private void write(Scratch scratch, MemorySegment result, int row, int rows, int firstPanel, int lastPanel) {
        MemorySegment square = scratch.floats(Slot.SQUARE, (long) Lanes.N * Lanes.N);
        MemorySegment turnedPanel = scratch.floats(Slot.GATHERED, (long) TOKENS * TURNED_ROW);
        for (int panel = firstPanel; panel < lastPanel; panel++) {
            int token = panel * TOKENS;
            Transposer.run(result, resultAt(panel - firstPanel, 0), 4L * TOKENS, turnedPanel, 0, 4L * TURNED_ROW, Lanes.padded(rows), TOKENS, square);
            Tiles.write(turnedPanel, 4L * TURNED_ROW, Math.min(TOKENS, m - token), rows, y.segment, y.bytes(token, row), 4 * y.row, add);
        }
    }

    /** Every token's sum begins with its output's bias. */
    private static void start(Scratch scratch, Tensor from, int row, int rows, MemorySegment result, int panels) {
        MemorySegment wide = scratch.floats(Slot.ROW, CHUNK_ROWS);
        Convert.widen(from.segment(), (long) from.dtype().bytes() * row, from.dtype(), wide, 0, rows);
        for (int panel = 0; panel < panels; panel++) {
            Copies.repeat(wide, rows, TOKENS, result, resultAt(panel, 0));
        }
    }

    /** Where row r of W meets a panel in the chunk's part of Y^T, [panel][row][tokens]. */
    private static long resultAt(int panel, int r) {
        return 4L * TOKENS * ((long) CHUNK_ROWS * panel + r);
    }

    /** Few tokens wait for memory, and longest where rows of BF16 are widened in a loop of their own. */
    private boolean widensAhead(int rows) {
        // What is widened during a block of k lies in one run of memory.
        boolean runs = w.col == k && k % AHEAD == 0 && (k <= IN_L2 / TOKENS || k % (Tiles.ROWS * DEPTH) == 0);
        return w.type == DType.BF16 && panels() == 1 && rows % Tiles.ROWS == 0 && runs;
    }

    /**
     * All of k for {@code rows} rows of a chunk, as much of it at a time as has its X in L2: while a tile works on four rows, the next
     * four are widened.
     */
    private void multiplyAhead(Scratch scratch, MemorySegment result, int row, int rows) {
        int most = IN_L2 / TOKENS;
        for (int from = 0; from < k; from += most) {
            multiplyAhead(scratch, result, row, rows, from, Math.min(most, k - from));
        }
    }

    private void multiplyAhead(Scratch scratch, MemorySegment result, int row, int rows, int from, int length) {
        // Twice four rows; the padding keeps what is written and what is read out of the same sets of the cache.
        long buffer = 4L * (Tiles.ROWS * length + Lanes.N);
        MemorySegment wide = scratch.floats(Slot.WIDENED, buffer / 2);
        MemorySegment tile = scratch.floats(Slot.TILE, Tiles.SIZE);
        MemorySegment packed = packed(scratch);
        for (int i = 0; i < Tiles.ROWS; i++) {
            Convert.widen(w.segment, w.bytes(from, row + i), w.type, wide, 4L * length * i, length);
        }
        for (int r = 0; r < rows; r += Tiles.ROWS) {
            long now = r / Tiles.ROWS % 2 * buffer;
            int next = row + Math.min(r + Tiles.ROWS, rows - Tiles.ROWS);
            for (int depth = 0; depth < length; depth += DEPTH) {
                int deep = Math.min(DEPTH, length - depth);
                boolean first = begins(from + depth);
                long at = resultAt(0, r);
                int widened = Tiles.ROWS * depth;
                NarrowTiles.multiplyAhead(
                        wide, now + 4L * depth, 4L * length, packed, packedAt(0, from + depth, deep), deep,
                        first ? result : tile, first ? at : 0,
                        w.segment, w.bytes(from + widened % length, next + widened / length), wide, buffer - now + 4L * widened);
                if (!first) {
                    Copies.addRow(1f, tile, 0, result, at, Tiles.SIZE);
                }
            }
        }
    }

    /** Whether the block of k from {@code depth} on is the first that its sums hold. */
    private boolean begins(int depth) {
        return depth == 0 && bias.isEmpty();
    }

    /**
     * Adds one block of k to the rows, in the chunk's part of Y^T, of tiles {@code from <= tile < to}; the first overwrites, unless there is a
     * bias. Rows that are read in place lie, in a tile, as far apart as the chunk has tiles: where one of them ends, the next tile's begins, so
     * that what the hardware fetches ahead is what comes next.
     */
    private void multiply(
            Scratch scratch, MemorySegment result, int row, int rows, int from, int to, int firstPanel, int lastPanel, int depth) {
        int deep = Math.min(DEPTH, k - depth);
        // An odd k has a last pair without a second weight: in a copy, that is zero.
        boolean readable = !PAIRS || k % 2 == 0;
        boolean inRegisters = PAIRS && readable && w.type == DType.BF16 && panels() <= PairTiles.BF16_PANELS;
        boolean inPlace = inRegisters || readable && w.type == DType.F32;
        boolean first = begins(depth);
        int pairs = (deep + 1) / 2;
        int apart = inPlace ? Gemm.ceil(rows, ROWS) : 1;
        long resultRow = 4L * TOKENS * apart;
        MemorySegment packed = packed(scratch);
        MemorySegment sums = scratch.floats(Slot.TILE, PAIRS ? PairTiles.SIZE : Tiles.SIZE);
        MemorySegment p = inPlace ? w.segment : scratch.floats(Slot.WIDENED, (long) ROWS * WIDENED_ROW);
        for (int tile = from; tile < to; tile++) {
            int r = inPlace ? tile : ROWS * tile;
            int some = Math.min(ROWS, Gemm.ceil(rows - r, apart));
            if (!inPlace) {
                for (int i = 0; i < some; i++) {
                    Convert.widen(w.segment, w.bytes(depth, row + r + i), w.type, p, 4L * WIDENED_ROW * i, deep);
                    Lanes.set(p, 4L * (WIDENED_ROW * i + deep), 0f);
                }
            }
            long pAt = inPlace ? w.bytes(depth, row + r) : 0;
            long pRow = inPlace ? w.type.bytes() * w.col * apart : 4L * WIDENED_ROW;
            for (int panel = firstPanel; panel < lastPanel; panel++) {
                long q = packedAt(panel, depth, deep);
                long at = resultAt(panel - firstPanel, r);
                if (PAIRS && PairTiles.half(m - panel * TOKENS)) {
                    if (inRegisters) {
                        PairTiles.multiplyHalfBf16(p, pAt, pRow, some, packed, q, pairs, sums);
                    } else {
                        PairTiles.multiplyHalf(p, pAt, pRow, some, packed, q, pairs, sums);
                    }
                    Pairs.sumHalf(sums, ROWS, result, at, resultRow, !first);
                } else if (PAIRS) {
                    if (inRegisters) {
                        PairTiles.multiplyBf16(p, pAt, pRow, some, packed, q, pairs, sums);
                    } else {
                        PairTiles.multiply(p, pAt, pRow, some, packed, q, pairs, sums);
                    }
                    Pairs.sum(sums, ROWS, result, at, resultRow, !first);
                } else {
                    Tiles.multiply(p, pAt, pRow, some, packed, q, deep, sums, 0);
                    Tiles.write(sums, 4L * TOKENS, ROWS, TOKENS, result, at, resultRow, !first);
                }
            }
        }
    }
}

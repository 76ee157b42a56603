package obsprop.kernel.cpu;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorOperators;
import obsprop.kernel.cpu.Scratch.Slot;
import obsprop.tensor.DType;

/**
 * Matrix products on one thread, blocked for the caches: k in {@link #count blocks}, columns in groups of panels that
 * are packed as the tiles want them, rows in sixes read in place or gathered.
 */
final class Blocks {
    /** k block at most: a group of panels of it (280 KiB at 512 bit) stays in L2 beside the rows that stream past. */
    static final int DEPTH = Tiles.WIDE ? 1120 : 560;
    /** What blocks are multiples of: whole updates, of rank 4 and of rank 7. */
    private static final int UPDATES = 28;
    /** Columns packed at once: enough of each row that memory is read in runs, few enough for L2. */
    static final int GROUP = Tiles.WIDE ? 64 : 128;
    /** Rows of a that are gathered at once where its columns do not follow one another: whole tiles and whole vectors. */
    private static final int GATHERED = 48;
    /** Columns packed before rows are gathered for them: a multiple of {@link #GROUP}, as gathering costs as much for a few. */
    static final int GATHERED_FOR = Tiles.WIDE ? 256 : 128;
    /** Panels packed at once. */
    private static final int PANELS = GROUP / Tiles.WIDTH;
    /** Floats from panel to panel: not a power of two, or all would fall into the same sets of the cache. */
    static final int PANEL = (DEPTH + 1) * Tiles.WIDTH;

    private Blocks() {}

    /** Blocks of k: of several an even number, so that two threads can share them ({@link Split}). */
    static int count(int k) {
        return k <= DEPTH ? Gemm.ceil(k, DEPTH) : 2 * Gemm.ceil(k, 2 * DEPTH);
    }

    /** Where a block of k begins, or the one before ends; all are of about the same size. */
    static int start(int k, int block) {
        long units = (long) UPDATES * count(k);
        return (int) Math.min(k, ((long) block * k + units - 1) / units * UPDATES);
    }

    /** {@code c (+)= a b} for a [m,k], b [k,n] of any strides (one of b's being 1), c F32 [m,n] with unit column stride. */
    static void multiply(Scratch scratch, Matrix a, Matrix b, Matrix c, int m, int n, int k, boolean add) {
        if (k == 0 && !add) {
            for (int i = 0; i < m; i++) {
                Copies.zeroRow(c.segment, c.bytes(i, 0), n);
            }
        }
        // Columns inside: the hardware has then fetched the next group of the same rows of b.
        for (int block = 0; block < count(k); block++) {
            int depth = start(k, block);
            int deep = start(k, block + 1) - depth;
            for (int j = 0; j < n; j += GATHERED_FOR) {
                int width = Math.min(GATHERED_FOR, n - j);
                MemorySegment packed = pack(scratch, b, depth, deep, j, width);
                multiplyRows(scratch, a, packed, c, m, depth, deep, j, width, add || depth > 0);
            }
        }
    }

    /** Packs {@code width} columns of b from j on, group by group, as panels of {@link #PANEL} floats; they last until the next call. */
    static MemorySegment pack(Scratch scratch, Matrix b, int depth, int deep, int j, int width) {
        MemorySegment packed = scratch.floats(Slot.PACK, (long) Gemm.ceil(width, Tiles.WIDTH) * PANEL);
        for (int x = 0; x < width; x += GROUP) {
            packGroup(scratch, b, depth, deep, j + x, Math.min(GROUP, width - x), packed, 4L * PANEL * (x / Tiles.WIDTH));
        }
        return packed;
    }

    /** One group of columns, to byte {@code to} and on; where columns are contiguous, row by row. */
    private static void packGroup(
            Scratch scratch, Matrix b, int depth, int deep, int j, int width, MemorySegment packed, long to) {
        if (b.col == 1 && width == GROUP && b.type == DType.F32) {
            packRows(b.segment, b.bytes(depth, j), 4 * b.row, packed, to, deep);
            return;
        }
        if (b.col == 1 && width == GROUP && b.type == DType.BF16) {
            packRowsBf16(b.segment, b.bytes(depth, j), 2 * b.row, packed, to, deep);
            return;
        }
        for (int panel = 0; panel * Tiles.WIDTH < width; panel++) {
            int done = panel * Tiles.WIDTH;
            int cols = Math.min(Tiles.WIDTH, width - done);
            packPanel(scratch, b, depth, deep, j + done, cols, Tiles.WIDTH, packed, to + 4L * PANEL * panel);
        }
    }

    /** Whole rows of a group. A method of its own, in a straight line: so C2 finds it the same in every program. */
    private static void packRows(MemorySegment b, long at, long row, MemorySegment packed, long packedAt, int rows) {
        b = Lanes.plain(b);
        packed = Lanes.plain(packed);
        for (int i = 0; i < rows; i++) {
            for (int panel = 0; panel < PANELS; panel++) {
                long from = at + i * row + 4L * Tiles.WIDTH * panel;
                long to = packedAt + 4L * Tiles.WIDTH * i + 4L * PANEL * panel;
                FloatVector v0 = FloatVector.fromMemorySegment(Lanes.F, b, from, Lanes.ORDER);
                FloatVector v1 = FloatVector.fromMemorySegment(Lanes.F, b, from + Lanes.BYTES, Lanes.ORDER);
                v0.intoMemorySegment(packed, to, Lanes.ORDER);
                v1.intoMemorySegment(packed, to + Lanes.BYTES, Lanes.ORDER);
                if (Tiles.WIDTH > 2 * Lanes.N) {
                    FloatVector v2 = FloatVector.fromMemorySegment(Lanes.F, b, from + 2 * Lanes.BYTES, Lanes.ORDER);
                    FloatVector v3 = FloatVector.fromMemorySegment(Lanes.F, b, from + 3 * Lanes.BYTES, Lanes.ORDER);
                    v2.intoMemorySegment(packed, to + 2 * Lanes.BYTES, Lanes.ORDER);
                    v3.intoMemorySegment(packed, to + 3 * Lanes.BYTES, Lanes.ORDER);
                }
            }
        }
    }

    /** The same, widened. */
    private static void packRowsBf16(MemorySegment b, long at, long row, MemorySegment packed, long packedAt, int rows) {
        b = Lanes.plain(b);
        packed = Lanes.plain(packed);
        for (int i = 0; i < rows; i++) {
            for (int panel = 0; panel < PANELS; panel++) {
                long from = at + i * row + 2L * Tiles.WIDTH * panel;
                long to = packedAt + 4L * Tiles.WIDTH * i + 4L * PANEL * panel;
                for (int x = 0; x < Tiles.WIDTH; x += Lanes.N) {
                    ShortVector h = ShortVector.fromMemorySegment(Convert.H, b, from + 2L * x, Lanes.ORDER);
                    IntVector bits = (IntVector) h.convertShape(VectorOperators.ZERO_EXTEND_S2I, Convert.I, 0);
                    FloatVector v = bits.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats();
                    v.intoMemorySegment(packed, to + 4L * x, Lanes.ORDER);
                }
            }
        }
    }

    /** One panel: {@code to[i][x] = b[depth + i, j + x]} for x below {@code width}, zero from {@code cols} on. */
    static void packPanel(
            Scratch scratch, Matrix b, int depth, int deep, int j, int cols, int width, MemorySegment to, long toAt) {
        long rowBytes = 4L * width;
        if (cols < width) {
            Copies.zeroRow(to, toAt, deep * width);
        }
        if (b.col == 1 && b.type == DType.F32) {
            for (int i = 0; i < deep; i++) {
                Copies.copyRow(b.segment, b.bytes(depth + i, j), to, toAt + i * rowBytes, cols);
            }
            return;
        }
        if (b.col == 1) {
            for (int i = 0; i < deep; i++) {
                Convert.widen(b.segment, b.bytes(depth + i, j), b.type, to, toAt + i * rowBytes, cols);
            }
            return;
        }
        MemorySegment square = scratch.floats(Slot.SQUARE, (long) Lanes.N * Lanes.N);
        if (b.type == DType.F32) {
            Transposer.run(b.segment, b.bytes(depth, j), 4 * b.col, to, toAt, rowBytes, cols, deep, square);
            return;
        }
        MemorySegment widened = scratch.floats(Slot.WIDENED, (long) DEPTH * Tiles.WIDTH);
        for (int x = 0; x < cols; x++) {
            Convert.widen(b.segment, b.bytes(depth, j + x), b.type, widened, 4L * DEPTH * x, deep);
        }
        Transposer.run(widened, 0, 4L * DEPTH, to, toAt, rowBytes, cols, deep, square);
    }

    private static void multiplyRows(
            Scratch scratch, Matrix a, MemorySegment packed, Matrix c, int m, int depth, int deep, int j, int width, boolean add) {
        MemorySegment tile = scratch.floats(Slot.TILE, Tiles.SIZE);
        boolean inPlace = a.type == DType.F32 && a.col == 1;
        for (int i = 0; i < m; i += Tiles.ROWS) {
            int rows = Math.min(Tiles.ROWS, m - i);
            if (!inPlace && i % GATHERED == 0) {
                gatherRows(scratch, a, i, Math.min(GATHERED, m - i), depth, deep);
            }
            MemorySegment p = inPlace ? a.segment : gathered(scratch);
            long pAt = inPlace ? a.bytes(i, depth) : 4L * DEPTH * (i % GATHERED);
            long pRow = inPlace ? 4 * a.row : 4L * DEPTH;
            for (int done = 0; done < width; done += Tiles.WIDTH) {
                Tiles.multiply(p, pAt, pRow, rows, packed, 4L * PANEL * (done / Tiles.WIDTH), deep, tile, 0);
                int cols = Math.min(Tiles.WIDTH, width - done);
                Tiles.write(tile, 4L * Tiles.WIDTH, rows, cols, c.segment, c.bytes(i, j + done), 4 * c.row, add);
            }
        }
    }

    private static MemorySegment gathered(Scratch scratch) {
        return scratch.floats(Slot.GATHERED, (long) DEPTH * GATHERED);
    }

    /** Rows of {@code a} as contiguous F32, [rows][DEPTH], whatever its type and strides. */
    private static void gatherRows(Scratch scratch, Matrix a, int i, int rows, int depth, int deep) {
        MemorySegment gathered = gathered(scratch);
        if (a.row == 1 && a.type == DType.F32) {
            MemorySegment square = scratch.floats(Slot.SQUARE, (long) Lanes.N * Lanes.N);
            Transposer.run(a.segment, a.bytes(i, depth), 4 * a.col, gathered, 0, 4L * DEPTH, deep, rows, square);
            return;
        }
        if (a.col == 1) {
            for (int r = 0; r < rows; r++) {
                Convert.widen(a.segment, a.bytes(i + r, depth), a.type, gathered, 4L * DEPTH * r, deep);
            }
            return;
        }
        for (int x = 0; x < deep; x++) {
            for (int r = 0; r < rows; r++) {
                Convert.widen(a.segment, a.bytes(i + r, depth + x), a.type, gathered, 4L * (DEPTH * r + x), 1);
            }
        }
    }
}

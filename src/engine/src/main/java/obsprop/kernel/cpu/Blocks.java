package obsprop.kernel.cpu;

import java.lang.foreign.MemorySegment;
import obsprop.kernel.cpu.Scratch.Slot;
import obsprop.tensor.DType;

/**
 * Matrix products on one thread, blocked for the caches: k in blocks of {@link #DEPTH}, columns in groups of panels that
 * are packed as the tiles want them, rows in sixes read in place.
 */
final class Blocks {
    /** k block: a panel of it (128 KiB at 512 bit) and six rows stay in L2 and L1. */
    static final int DEPTH = 512;
    /** Columns packed at once. */
    private static final int GROUP = 2 * Tiles.WIDTH;

    private Blocks() {}

    /** {@code c (+)= a b} for a [m,k], b [k,n] of any strides (one of b's being 1), c F32 [m,n] with unit column stride. */
    static void multiply(Scratch scratch, Matrix a, Matrix b, Matrix c, int m, int n, int k, boolean add) {
        if (!add) {
            for (int i = 0; i < m; i++) {
                Copies.zeroRow(c.segment, c.bytes(i, 0), n);
            }
        }
        for (int j = 0; j < n; j += GROUP) {
            int width = Math.min(GROUP, n - j);
            for (int depth = 0; depth < k; depth += DEPTH) {
                int deep = Math.min(DEPTH, k - depth);
                packColumns(scratch, b, depth, deep, j, width);
                addRows(scratch, a, c, m, depth, deep, j, width);
            }
        }
    }

    /** Packs b[depth.., j..] as panels [deep][WIDTH], the last one padded with zeros. */
    private static void packColumns(Scratch scratch, Matrix b, int depth, int deep, int j, int width) {
        MemorySegment packed = scratch.floats(Slot.PACK, (long) deep * GROUP);
        for (int done = 0; done < width; done += Tiles.WIDTH) {
            int cols = Math.min(Tiles.WIDTH, width - done);
            packPanel(scratch, b, depth, deep, j + done, cols, packed, 4L * done * deep);
        }
    }

    /** One panel: {@code to[i][x] = b[depth + i, j + x]}, zero for x of {@code cols} and above. */
    static void packPanel(
            Scratch scratch, Matrix b, int depth, int deep, int j, int cols, MemorySegment to, long toAt) {
        long rowBytes = 4L * Tiles.WIDTH;
        if (cols < Tiles.WIDTH) {
            Copies.zeroRow(to, toAt, deep * Tiles.WIDTH);
        }
        if (b.col == 1) {
            for (int i = 0; i < deep; i++) {
                Convert.widen(b.segment, b.bytes(depth + i, j), b.type, to, toAt + i * rowBytes, cols);
            }
            return;
        }
        MemorySegment square = scratch.floats(Slot.SQUARE, (long) Lanes.N * Lanes.N);
        if (b.type == DType.F32) {
            Transposer.run(b.segment, b.bytes(depth, j), 4 * b.col, to, toAt, rowBytes, cols, deep, false, square);
            return;
        }
        MemorySegment widened = scratch.floats(Slot.WIDENED, (long) DEPTH * Tiles.WIDTH);
        for (int x = 0; x < cols; x++) {
            Convert.widen(b.segment, b.bytes(depth, j + x), b.type, widened, 4L * DEPTH * x, deep);
        }
        Transposer.run(widened, 0, 4L * DEPTH, to, toAt, rowBytes, cols, deep, false, square);
    }

    private static void addRows(
            Scratch scratch, Matrix a, Matrix c, int m, int depth, int deep, int j, int width) {
        MemorySegment packed = scratch.floats(Slot.PACK, (long) deep * GROUP);
        for (int i = 0; i < m; i += Tiles.ROWS) {
            int rows = Math.min(Tiles.ROWS, m - i);
            MemorySegment p = a.segment;
            long pAt = a.bytes(i, depth);
            long pRow = 4 * a.row;
            long pStep = 4 * a.col;
            if (a.type != DType.F32) {
                p = widenRows(scratch, a, i, rows, depth, deep);
                pAt = 0;
                pRow = 4L * DEPTH;
                pStep = 4;
            }
            for (int done = 0; done < width; done += Tiles.WIDTH) {
                long qAt = 4L * done * deep;
                int cols = Math.min(Tiles.WIDTH, width - done);
                long cAt = c.bytes(i, j + done);
                if (rows == Tiles.ROWS && cols == Tiles.WIDTH) {
                    Tiles.add(p, pAt, pRow, pStep, rows, packed, qAt, deep, c.segment, cAt, 4 * c.row);
                } else {
                    addPart(scratch, p, pAt, pRow, pStep, rows, packed, qAt, deep, c, cAt, cols);
                }
            }
        }
    }

    /** Rows of {@code a} in F32, [rows][DEPTH], whatever its type and strides. */
    private static MemorySegment widenRows(Scratch scratch, Matrix a, int i, int rows, int depth, int deep) {
        MemorySegment widened = scratch.floats(Slot.WIDENED, (long) DEPTH * Tiles.WIDTH);
        for (int r = 0; r < rows; r++) {
            if (a.col == 1) {
                Convert.widen(a.segment, a.bytes(i + r, depth), a.type, widened, 4L * DEPTH * r, deep);
                continue;
            }
            for (int x = 0; x < deep; x++) {
                Convert.widen(a.segment, a.bytes(i + r, depth + x), a.type, widened, 4L * (DEPTH * r + x), 1);
            }
        }
        return widened;
    }

    /** A tile at the edge of c: the part that exists goes through a whole tile, in the same order of sums. */
    private static void addPart(
            Scratch scratch, MemorySegment p, long pAt, long pRow, long pStep, int rows, MemorySegment q, long qAt, int k,
            Matrix c, long cAt, int cols) {
        MemorySegment part = scratch.floats(Slot.TILE, Tiles.ROWS * Tiles.WIDTH);
        long partRow = 4L * Tiles.WIDTH;
        Copies.zeroRow(part, 0, Tiles.ROWS * Tiles.WIDTH);
        for (int r = 0; r < rows; r++) {
            Convert.copyFloats(c.segment, cAt + 4 * c.row * r, part, partRow * r, cols);
        }
        Tiles.add(p, pAt, pRow, pStep, rows, q, qAt, k, part, 0, partRow);
        for (int r = 0; r < rows; r++) {
            Convert.copyFloats(part, partRow * r, c.segment, cAt + 4 * c.row * r, cols);
        }
    }
}

package obsprop.kernel.cpu;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;
import obsprop.kernel.Transpose;
import obsprop.kernel.cpu.Scratch.Slot;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;

/**
 * See {@link obsprop.kernel.Kernels#headProducts}: rows of W are read once, each head's part of a row is summed by itself, at first in
 * lanes; the lanes are then summed for as many rows at once as a vector has of them. BF16 is widened by
 * pairs in registers.
 */
final class HeadOutputs {
    /** Vectors that are summed lane by lane before they are stored: a head's width is a multiple of so many. */
    private static final int GROUP = 4;
    /** Weights from which on it is used: less is done before vectors are compiled. */
    private static final long SMALLEST = 1 << 18;
    /** Rows of W in a chunk: whole cache lines of the output, and a multiple of those in a tile. */
    private static final int ROWS = 64;
    /** Rows that are read side by side: as far apart as to go on where the one before ended. */
    private static final int TILE = 4;

    private final Workers.Task task = this::chunk;
    private final Scratch shared = new Scratch();
    private final Matrix x = new Matrix();
    private final Matrix w = new Matrix();
    private final Matrix y = new Matrix();
    private int heads;
    private int rows;
    private int columns;
    /** For BF16: x, with the even elements of every two vectors before the odd ones. */
    private MemorySegment parted = MemorySegment.NULL;

    static boolean serves(Tensor x, Tensor weight, Tensor y) {
        int heads = y.size(0);
        int columns = weight.size(1);
        return (long) weight.size(0) * columns >= SMALLEST && columns % (heads * GROUP * Lanes.N) == 0 && x.dtype() == DType.F32;
    }

    void run(Workers workers, Tensor in, Tensor weight, Tensor out) {
        x.set(in, Transpose.NO);
        w.set(weight, Transpose.NO);
        y.set(out, Transpose.NO);
        heads = out.size(0);
        rows = weight.size(0);
        columns = weight.size(1);
        if (w.type == DType.BF16) {
            part();
        }
        workers.run(task, Gemm.ceil(rows, ROWS));
    }

    private void part() {
        parted = shared.floats(Slot.PACK, columns);
        for (int i = 0; i < columns; i++) {
            int lane = i / 2 % Lanes.N;
            int vector = i / (2 * Lanes.N) * 2 + i % 2;
            Lanes.set(parted, 4L * (vector * Lanes.N + lane), Lanes.get(x.segment, x.bytes(0, i)));
        }
    }

    private void chunk(int chunk, Scratch scratch) {
        int first = chunk * ROWS;
        int rowsHere = Math.min(ROWS, rows - first);
        int apart = Gemm.ceil(rowsHere, TILE);
        int groups = columns / (GROUP * Lanes.N);
        long sumRow = (long) Lanes.BYTES * groups;
        MemorySegment sums = scratch.floats(Slot.RESULT, (long) ROWS * groups * Lanes.N);
        boolean inPlace = w.type == DType.F32;
        // Widened rows do not lie a power of two apart, or all would fall into the same sets of the cache.
        long pRow = inPlace ? 4 * w.row * apart : 4L * (columns + Lanes.N);
        MemorySegment p = inPlace ? w.segment : scratch.floats(Slot.WIDENED, TILE * pRow / 4);
        for (int i = 0; i < apart; i++) {
            int some = Math.min(TILE, Gemm.ceil(rowsHere - i, apart));
            long at = w.bytes(first + i, 0);
            if (w.type == DType.BF16) {
                multiplyBf16(w.segment, at, 2 * w.row * apart, some, parted, columns, sums, sumRow * i, sumRow * apart);
                continue;
            }
            for (int r = 0; r < some && !inPlace; r++) {
                Convert.widen(w.segment, w.bytes(first + i + r * apart, 0), w.type, p, r * pRow, columns);
            }
            multiply(p, inPlace ? at : 0, pRow, some, x.segment, x.bytes(0, 0), columns, sums, sumRow * i, sumRow * apart);
        }
        for (int row = 0; row < rowsHere; row += Lanes.N) {
            long at = sumRow * row;
            sum(sums, at, Lanes.N * heads, groups / heads);
            Transposer.sumLanes(sums, at, heads);
            for (int h = 0; h < heads; h++) {
                Copies.copyRow(sums, at + (long) Lanes.BYTES * h, y.segment, y.bytes(h, first + row), Math.min(Lanes.N, rowsHere - row));
            }
        }
    }

    /** Each of the first {@code count} vectors from byte {@code at} on becomes the sum of {@code of} neighbours, in place. */
    private static void sum(MemorySegment vectors, long at, int count, int of) {
        int left = of;
        for (; left % 2 == 0; left /= 2) {
            sumTwo(vectors, at, count * left / 2);
        }
        vectors = Lanes.plain(vectors);
        for (int j = 1; j < left; j++) {
            for (int i = 0; i < count; i++) {
                long first = at + (long) Lanes.BYTES * i * left;
                FloatVector.fromMemorySegment(Lanes.F, vectors, first, Lanes.ORDER)
                        .add(FloatVector.fromMemorySegment(Lanes.F, vectors, first + (long) Lanes.BYTES * j, Lanes.ORDER))
                        .intoMemorySegment(vectors, first, Lanes.ORDER);
            }
        }
        for (int i = 1; i < count && left > 1; i++) {
            FloatVector.fromMemorySegment(Lanes.F, vectors, at + (long) Lanes.BYTES * i * left, Lanes.ORDER)
                    .intoMemorySegment(vectors, at + (long) Lanes.BYTES * i, Lanes.ORDER);
        }
    }

    private static void sumTwo(MemorySegment vectors, long at, int count) {
        vectors = Lanes.plain(vectors);
        for (int i = 0; i < count; i++) {
            long first = at + 2L * Lanes.BYTES * i;
            FloatVector.fromMemorySegment(Lanes.F, vectors, first, Lanes.ORDER)
                    .add(FloatVector.fromMemorySegment(Lanes.F, vectors, first + Lanes.BYTES, Lanes.ORDER))
                    .intoMemorySegment(vectors, at + (long) Lanes.BYTES * i, Lanes.ORDER);
        }
    }

    /**
     * {@code sums[r, g] = sum over the vectors of group g of p[r] q}, lane by lane, from byte {@code to} on; {@code rows} says how many rows P
     * has: the others of the tile repeat the last one.
     */
    private static void multiply(
            MemorySegment p, long pAt, long pRow, int rows, MemorySegment q, long qAt, int n, MemorySegment sums, long to, long sumRow) {
        p = Lanes.plain(p);
        q = Lanes.plain(q);
        sums = Lanes.plain(sums);
        long p1 = pAt + Math.min(1, rows - 1) * pRow;
        long p2 = pAt + Math.min(2, rows - 1) * pRow;
        long p3 = pAt + Math.min(3, rows - 1) * pRow;
        for (int i = 0; i < n; i += GROUP * Lanes.N) {
            long at = 4L * i;
            FloatVector v = FloatVector.fromMemorySegment(Lanes.F, q, qAt + at, Lanes.ORDER);
            FloatVector s0 = FloatVector.fromMemorySegment(Lanes.F, p, pAt + at, Lanes.ORDER).mul(v);
            FloatVector s1 = FloatVector.fromMemorySegment(Lanes.F, p, p1 + at, Lanes.ORDER).mul(v);
            FloatVector s2 = FloatVector.fromMemorySegment(Lanes.F, p, p2 + at, Lanes.ORDER).mul(v);
            FloatVector s3 = FloatVector.fromMemorySegment(Lanes.F, p, p3 + at, Lanes.ORDER).mul(v);
            v = FloatVector.fromMemorySegment(Lanes.F, q, qAt + Lanes.BYTES + at, Lanes.ORDER);
            s0 = FloatVector.fromMemorySegment(Lanes.F, p, pAt + Lanes.BYTES + at, Lanes.ORDER).fma(v, s0);
            s1 = FloatVector.fromMemorySegment(Lanes.F, p, p1 + Lanes.BYTES + at, Lanes.ORDER).fma(v, s1);
            s2 = FloatVector.fromMemorySegment(Lanes.F, p, p2 + Lanes.BYTES + at, Lanes.ORDER).fma(v, s2);
            s3 = FloatVector.fromMemorySegment(Lanes.F, p, p3 + Lanes.BYTES + at, Lanes.ORDER).fma(v, s3);
            v = FloatVector.fromMemorySegment(Lanes.F, q, qAt + 2 * Lanes.BYTES + at, Lanes.ORDER);
            s0 = FloatVector.fromMemorySegment(Lanes.F, p, pAt + 2 * Lanes.BYTES + at, Lanes.ORDER).fma(v, s0);
            s1 = FloatVector.fromMemorySegment(Lanes.F, p, p1 + 2 * Lanes.BYTES + at, Lanes.ORDER).fma(v, s1);
            s2 = FloatVector.fromMemorySegment(Lanes.F, p, p2 + 2 * Lanes.BYTES + at, Lanes.ORDER).fma(v, s2);
            s3 = FloatVector.fromMemorySegment(Lanes.F, p, p3 + 2 * Lanes.BYTES + at, Lanes.ORDER).fma(v, s3);
            v = FloatVector.fromMemorySegment(Lanes.F, q, qAt + 3 * Lanes.BYTES + at, Lanes.ORDER);
            s0 = FloatVector.fromMemorySegment(Lanes.F, p, pAt + 3 * Lanes.BYTES + at, Lanes.ORDER).fma(v, s0);
            s1 = FloatVector.fromMemorySegment(Lanes.F, p, p1 + 3 * Lanes.BYTES + at, Lanes.ORDER).fma(v, s1);
            s2 = FloatVector.fromMemorySegment(Lanes.F, p, p2 + 3 * Lanes.BYTES + at, Lanes.ORDER).fma(v, s2);
            s3 = FloatVector.fromMemorySegment(Lanes.F, p, p3 + 3 * Lanes.BYTES + at, Lanes.ORDER).fma(v, s3);
            s0.intoMemorySegment(sums, to + i, Lanes.ORDER); // 4 i / GROUP
            s1.intoMemorySegment(sums, to + sumRow + i, Lanes.ORDER);
            s2.intoMemorySegment(sums, to + 2 * sumRow + i, Lanes.ORDER);
            s3.intoMemorySegment(sums, to + 3 * sumRow + i, Lanes.ORDER);
        }
    }

    /** The same for P in BF16 and a parted q. */
    private static void multiplyBf16(
            MemorySegment p, long pAt, long pRow, int rows, MemorySegment q, int n, MemorySegment sums, long to, long sumRow) {
        p = Lanes.plain(p);
        q = Lanes.plain(q);
        sums = Lanes.plain(sums);
        long p1 = pAt + Math.min(1, rows - 1) * pRow;
        long p2 = pAt + Math.min(2, rows - 1) * pRow;
        long p3 = pAt + Math.min(3, rows - 1) * pRow;
        for (int i = 0; i < n; i += GROUP * Lanes.N) {
            long at = 2L * i;
            FloatVector even = FloatVector.fromMemorySegment(Lanes.F, q, 2 * at, Lanes.ORDER);
            FloatVector odd = FloatVector.fromMemorySegment(Lanes.F, q, Lanes.BYTES + 2 * at, Lanes.ORDER);
            IntVector pairs = IntVector.fromMemorySegment(Convert.I, p, pAt + at, Lanes.ORDER);
            FloatVector s0 = pairs.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().mul(even);
            s0 = pairs.and(Convert.HIGH).reinterpretAsFloats().fma(odd, s0);
            pairs = IntVector.fromMemorySegment(Convert.I, p, p1 + at, Lanes.ORDER);
            FloatVector s1 = pairs.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().mul(even);
            s1 = pairs.and(Convert.HIGH).reinterpretAsFloats().fma(odd, s1);
            pairs = IntVector.fromMemorySegment(Convert.I, p, p2 + at, Lanes.ORDER);
            FloatVector s2 = pairs.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().mul(even);
            s2 = pairs.and(Convert.HIGH).reinterpretAsFloats().fma(odd, s2);
            pairs = IntVector.fromMemorySegment(Convert.I, p, p3 + at, Lanes.ORDER);
            FloatVector s3 = pairs.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().mul(even);
            s3 = pairs.and(Convert.HIGH).reinterpretAsFloats().fma(odd, s3);
            even = FloatVector.fromMemorySegment(Lanes.F, q, 2 * Lanes.BYTES + 2 * at, Lanes.ORDER);
            odd = FloatVector.fromMemorySegment(Lanes.F, q, 3 * Lanes.BYTES + 2 * at, Lanes.ORDER);
            pairs = IntVector.fromMemorySegment(Convert.I, p, pAt + Lanes.BYTES + at, Lanes.ORDER);
            s0 = pairs.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(even, s0);
            s0 = pairs.and(Convert.HIGH).reinterpretAsFloats().fma(odd, s0);
            pairs = IntVector.fromMemorySegment(Convert.I, p, p1 + Lanes.BYTES + at, Lanes.ORDER);
            s1 = pairs.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(even, s1);
            s1 = pairs.and(Convert.HIGH).reinterpretAsFloats().fma(odd, s1);
            pairs = IntVector.fromMemorySegment(Convert.I, p, p2 + Lanes.BYTES + at, Lanes.ORDER);
            s2 = pairs.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(even, s2);
            s2 = pairs.and(Convert.HIGH).reinterpretAsFloats().fma(odd, s2);
            pairs = IntVector.fromMemorySegment(Convert.I, p, p3 + Lanes.BYTES + at, Lanes.ORDER);
            s3 = pairs.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats().fma(even, s3);
            s3 = pairs.and(Convert.HIGH).reinterpretAsFloats().fma(odd, s3);
            s0.intoMemorySegment(sums, to + i, Lanes.ORDER); // 4 i / GROUP
            s1.intoMemorySegment(sums, to + sumRow + i, Lanes.ORDER);
            s2.intoMemorySegment(sums, to + 2 * sumRow + i, Lanes.ORDER);
            s3.intoMemorySegment(sums, to + 3 * sumRow + i, Lanes.ORDER);
        }
    }
}

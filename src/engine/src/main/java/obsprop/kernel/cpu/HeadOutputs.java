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
    /** Rows of W in a chunk: whole cache lines of the output. */
    private static final int ROWS = 64;

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
        int groups = columns / (GROUP * Lanes.N);
        MemorySegment sums = scratch.floats(Slot.RESULT, (long) Lanes.N * groups * Lanes.N);
        boolean inPlace = w.type == DType.F32;
        MemorySegment p = inPlace ? w.segment : scratch.floats(Slot.WIDENED, columns);
        int last = Math.min(rows, (chunk + 1) * ROWS);
        for (int row = chunk * ROWS; row < last; row += Lanes.N) {
            int some = Math.min(Lanes.N, last - row);
            for (int i = 0; i < some; i++) {
                long at = w.bytes(row + i, 0);
                long to = (long) Lanes.BYTES * groups * i;
                if (w.type == DType.BF16) {
                    multiplyBf16(w.segment, at, parted, columns, sums, to);
                } else {
                    if (!inPlace) {
                        Convert.widen(w.segment, at, w.type, p, 0, columns);
                    }
                    multiply(p, inPlace ? at : 0, x.segment, x.bytes(0, 0), columns, sums, to);
                }
            }
            int of = groups / heads;
            for (; of % 2 == 0; of /= 2) {
                sumPairs(sums, Lanes.N * heads * of / 2);
            }
            sum(sums, Lanes.N * heads, of);
            Transposer.sumLanes(sums, heads);
            for (int h = 0; h < heads; h++) {
                Copies.copyRow(sums, (long) Lanes.BYTES * h, y.segment, y.bytes(h, row), some);
            }
        }
    }

    /** Each of the first {@code count} vectors becomes the sum of two neighbours, in place: by constants, which spares the checks. */
    private static void sumPairs(MemorySegment vectors, int count) {
        vectors = Lanes.plain(vectors);
        for (int i = 0; i < count; i++) {
            FloatVector.fromMemorySegment(Lanes.F, vectors, 2L * Lanes.BYTES * i, Lanes.ORDER)
                    .add(FloatVector.fromMemorySegment(Lanes.F, vectors, 2L * Lanes.BYTES * i + Lanes.BYTES, Lanes.ORDER))
                    .intoMemorySegment(vectors, (long) Lanes.BYTES * i, Lanes.ORDER);
        }
    }

    /** Each of the first {@code count} vectors becomes the sum of {@code of} neighbours, in place. */
    private static void sum(MemorySegment vectors, int count, int of) {
        vectors = Lanes.plain(vectors);
        for (int j = 1; j < of; j++) {
            for (int i = 0; i < count; i++) {
                long first = (long) Lanes.BYTES * i * of;
                FloatVector.fromMemorySegment(Lanes.F, vectors, first, Lanes.ORDER)
                        .add(FloatVector.fromMemorySegment(Lanes.F, vectors, first + (long) Lanes.BYTES * j, Lanes.ORDER))
                        .intoMemorySegment(vectors, first, Lanes.ORDER);
            }
        }
        for (int i = 1; i < count && of > 1; i++) {
            FloatVector.fromMemorySegment(Lanes.F, vectors, (long) Lanes.BYTES * i * of, Lanes.ORDER)
                    .intoMemorySegment(vectors, (long) Lanes.BYTES * i, Lanes.ORDER);
        }
    }

    /** {@code sums[g] = sum over the vectors of group g of p q}, lane by lane, from byte {@code to} on. */
    private static void multiply(MemorySegment p, long pAt, MemorySegment q, long qAt, int n, MemorySegment sums, long to) {
        p = Lanes.plain(p);
        q = Lanes.plain(q);
        sums = Lanes.plain(sums);
        for (int i = 0; i < n; i += GROUP * Lanes.N) {
            long at = 4L * i;
            FloatVector s = FloatVector.fromMemorySegment(Lanes.F, p, pAt + at, Lanes.ORDER)
                    .mul(FloatVector.fromMemorySegment(Lanes.F, q, qAt + at, Lanes.ORDER));
            s = FloatVector.fromMemorySegment(Lanes.F, p, pAt + Lanes.BYTES + at, Lanes.ORDER)
                    .fma(FloatVector.fromMemorySegment(Lanes.F, q, qAt + Lanes.BYTES + at, Lanes.ORDER), s);
            s = FloatVector.fromMemorySegment(Lanes.F, p, pAt + 2 * Lanes.BYTES + at, Lanes.ORDER)
                    .fma(FloatVector.fromMemorySegment(Lanes.F, q, qAt + 2 * Lanes.BYTES + at, Lanes.ORDER), s);
            s = FloatVector.fromMemorySegment(Lanes.F, p, pAt + 3 * Lanes.BYTES + at, Lanes.ORDER)
                    .fma(FloatVector.fromMemorySegment(Lanes.F, q, qAt + 3 * Lanes.BYTES + at, Lanes.ORDER), s);
            s.intoMemorySegment(sums, to + i, Lanes.ORDER); // 4 i / GROUP
        }
    }

    /** The same for p in BF16 and a parted q. */
    private static void multiplyBf16(MemorySegment p, long pAt, MemorySegment q, int n, MemorySegment sums, long to) {
        p = Lanes.plain(p);
        q = Lanes.plain(q);
        sums = Lanes.plain(sums);
        for (int i = 0; i < n; i += GROUP * Lanes.N) {
            long at = 4L * i;
            IntVector pairs = IntVector.fromMemorySegment(Convert.I, p, pAt + 2L * i, Lanes.ORDER);
            FloatVector s = pairs.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats()
                    .mul(FloatVector.fromMemorySegment(Lanes.F, q, at, Lanes.ORDER));
            s = pairs.and(Convert.HIGH).reinterpretAsFloats()
                    .fma(FloatVector.fromMemorySegment(Lanes.F, q, Lanes.BYTES + at, Lanes.ORDER), s);
            pairs = IntVector.fromMemorySegment(Convert.I, p, pAt + Lanes.BYTES + 2L * i, Lanes.ORDER);
            s = pairs.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats()
                    .fma(FloatVector.fromMemorySegment(Lanes.F, q, 2 * Lanes.BYTES + at, Lanes.ORDER), s);
            s = pairs.and(Convert.HIGH).reinterpretAsFloats()
                    .fma(FloatVector.fromMemorySegment(Lanes.F, q, 3 * Lanes.BYTES + at, Lanes.ORDER), s);
            s.intoMemorySegment(sums, to + i, Lanes.ORDER); // 4 i / GROUP
        }
    }
}

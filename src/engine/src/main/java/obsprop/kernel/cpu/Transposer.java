package obsprop.kernel.cpu;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorShuffle;

/**
 * Transposes F32 blocks: squares of one vector by as many rows go through log2(N) rounds of exchanges between rows whose
 * numbers differ in one bit; the ragged edge is copied by elements. All offsets and strides count bytes.
 */
final class Transposer {
    private static final int N = Lanes.N;
    private static final long BYTES = Lanes.BYTES;

    private Transposer() {}

    /** {@code to[j, i] = from[i, j]}, for i below {@code rows} and j below {@code cols}. */
    static void run(
            MemorySegment from, long fromAt, long fromRow, MemorySegment to, long toAt, long toRow, int rows, int cols, MemorySegment square) {
        int wholeRows = Lanes.whole(rows);
        int wholeCols = Lanes.whole(cols);
        for (int i = 0; i < wholeRows; i += N) {
            for (int j = 0; j < wholeCols; j += N) {
                rounds(from, fromAt + i * fromRow + 4L * j, fromRow, N, square);
                exchange(square, 0, BYTES, to, toAt + j * toRow + 4L * i, toRow, N, 1, XOR_1, BIT_1);
            }
        }
        edge(from, fromAt, fromRow, to, toAt, toRow, 0, wholeRows, wholeCols, cols);
        edge(from, fromAt, fromRow, to, toAt, toRow, wholeRows, rows, 0, cols);
    }

    /**
     * Packs {@code X[tokens, k]}, at most N tokens, as {@link PairTiles} wants it: for every two k, the pairs of the even tokens and then
     * those of the odd ones, which is the transpose without its last round; of N / 2 tokens and fewer, the pairs of all in one vector. What
     * lies beyond the last token or k is zero.
     */
    static void pairs(
            MemorySegment from, long fromAt, long fromRow, MemorySegment to, long toAt, int tokens, int k, MemorySegment square) {
        boolean half = PairTiles.half(tokens);
        long ofTwo = half ? BYTES : 2 * BYTES;
        int whole = Lanes.whole(k);
        for (int x = 0; x < whole; x += N) {
            long at = toAt + x / 2 * ofTwo;
            if (half) {
                copyPadded(from, fromAt + 4L * x, fromRow, tokens, N / 2, square);
                squareOfPairs(square, 0, BYTES, to, at, BYTES, false, square);
            } else {
                rounds(from, fromAt + 4L * x, fromRow, tokens, square);
                Copies.copyRow(square, 0, to, at, N * N);
            }
        }
        for (int x = whole; x < k; x += 2) {
            long row = toAt + x / 2 * ofTwo;
            Copies.zeroRow(to, row, (int) ofTwo / 4);
            for (int t = 0; t < tokens; t++) {
                long at = row + (half ? t * 8L : t % 2 * BYTES + t / 2 * 8L);
                Lanes.set(to, at, Lanes.get(from, fromAt + t * fromRow + 4L * x));
                Lanes.set(to, at + 4, x + 1 < k ? Lanes.get(from, fromAt + t * fromRow + 4L * x + 4) : 0f);
            }
        }
    }

    private static void edge(
            MemorySegment from, long fromAt, long fromRow, MemorySegment to, long toAt, long toRow, int firstRow, int rows,
            int firstCol, int cols) {
        for (int i = firstRow; i < rows; i++) {
            for (int j = firstCol; j < cols; j++) {
                Lanes.set(to, toAt + j * toRow + 4L * i, Lanes.get(from, fromAt + i * fromRow + 4L * j));
            }
        }
    }

    /** {@code square[j, i] = from[i, j]}, for at most N rows and columns; zero beyond. */
    static void square(MemorySegment from, long fromAt, long fromRow, int rows, int cols, MemorySegment square) {
        if (cols == N) {
            rounds(from, fromAt, fromRow, rows, square);
            exchange(square, 0, BYTES, square, 0, BYTES, N, 1, XOR_1, BIT_1);
        } else {
            Copies.zeroRow(square, 0, N * N);
            edge(from, fromAt, fromRow, square, 0, BYTES, 0, rows, 0, cols);
        }
    }

    /**
     * {@code to[j, i] = from[i, j]}, or {@code +=}, for N / 2 rows of {@code to}, columns of pairs that stay together, {@code from} N / 2
     * vectors.
     */
    static void squareOfPairs(
            MemorySegment from, long fromAt, long fromRow, MemorySegment to, long toAt, long toRow, boolean add, MemorySegment square) {
        MemorySegment last = add ? square : to;
        long lastAt = add ? 0 : toAt;
        long lastRow = add ? BYTES : toRow;
        if (N == 4) {
            exchange(from, fromAt, fromRow, last, lastAt, lastRow, N / 2, 1, XOR_FIRST, BIT_FIRST);
        } else {
            exchange(from, fromAt, fromRow, square, 0, BYTES, N / 2, N / 4, XOR_FIRST, BIT_FIRST);
            if (N == 16) {
                exchange(square, 0, BYTES, square, 0, BYTES, N / 2, 2, XOR_4, BIT_4);
            }
            exchange(square, 0, BYTES, last, lastAt, lastRow, N / 2, 1, XOR_2, BIT_2);
        }
        if (add) {
            add(square, to, toAt, toRow, N / 2);
        }
    }

    /** All rounds but the last, for {@code rows} rows of N columns and zeros below them. */
    private static void rounds(MemorySegment from, long fromAt, long fromRow, int rows, MemorySegment square) {
        if (rows == N) {
            exchange(from, fromAt, fromRow, square, 0, BYTES, N, N / 2, XOR_FIRST, BIT_FIRST);
        } else {
            copyPadded(from, fromAt, fromRow, rows, N, square);
            exchange(square, 0, BYTES, square, 0, BYTES, N, N / 2, XOR_FIRST, BIT_FIRST);
        }
        for (int bit = N / 4; bit > 1; bit /= 2) {
            if (bit == 4) {
                exchange(square, 0, BYTES, square, 0, BYTES, N, 4, XOR_4, BIT_4);
            } else {
                exchange(square, 0, BYTES, square, 0, BYTES, N, 2, XOR_2, BIT_2);
            }
        }
    }

    /** {@code rows} rows of N columns, and zeros below them up to {@code height}. */
    private static void copyPadded(MemorySegment from, long fromAt, long fromRow, int rows, int height, MemorySegment square) {
        for (int i = 0; i < rows; i++) {
            Copies.copyRow(from, fromAt + i * fromRow, square, i * BYTES, N);
        }
        Copies.zeroRow(square, rows * BYTES, (height - rows) * N);
    }

    private static final VectorShuffle<Float> XOR_FIRST = xor(N / 2);
    private static final VectorShuffle<Float> XOR_4 = xor(4);
    private static final VectorShuffle<Float> XOR_2 = xor(2);
    private static final VectorShuffle<Float> XOR_1 = xor(1);
    private static final VectorMask<Float> BIT_FIRST = lanesWith(N / 2);
    private static final VectorMask<Float> BIT_4 = lanesWith(4);
    private static final VectorMask<Float> BIT_2 = lanesWith(2);
    private static final VectorMask<Float> BIT_1 = lanesWith(1);

    private static VectorShuffle<Float> xor(int bit) {
        return VectorShuffle.fromOp(Lanes.F, lane -> (lane ^ bit) % N);
    }

    private static VectorMask<Float> lanesWith(int bit) {
        boolean[] lanes = new boolean[N];
        for (int lane = 0; lane < N; lane++) {
            lanes[lane] = (lane & bit) != 0;
        }
        return VectorMask.fromArray(Lanes.F, lanes, 0);
    }

    /** Of N rows of n vectors each makes one row, in place: lane i of a vector becomes the sum of the lanes of that vector in row i. */
    static void sumLanes(MemorySegment vectors, int n) {
        fold(vectors, n * N / 2, XOR_FIRST, BIT_FIRST);
        if (N == 16) {
            fold(vectors, n * 4, XOR_4, BIT_4);
        }
        if (N >= 8) {
            fold(vectors, n * 2, XOR_2, BIT_2);
        }
        fold(vectors, n, XOR_1, BIT_1);
    }

    /** Vector i takes the lanes without a bit, vector i + count those with it, each added to its neighbour in that bit. */
    private static void fold(MemorySegment vectors, int count, VectorShuffle<Float> xor, VectorMask<Float> lanes) {
        vectors = Lanes.plain(vectors);
        for (int i = 0; i < count; i++) {
            long at = BYTES * i;
            FloatVector low = FloatVector.fromMemorySegment(Lanes.F, vectors, at, Lanes.ORDER);
            FloatVector high = FloatVector.fromMemorySegment(Lanes.F, vectors, at + BYTES * count, Lanes.ORDER);
            FloatVector sums = low.blend(high.rearrange(xor), lanes).add(low.rearrange(xor).blend(high, lanes));
            sums.intoMemorySegment(vectors, at, Lanes.ORDER);
        }
    }

    /** One round: rows i and i + bit swap the lanes of i with that bit for the lanes of i + bit without it. */
    private static void exchange(
            MemorySegment from, long fromAt, long fromRow, MemorySegment to, long toAt, long toRow, int rows, int bit,
            VectorShuffle<Float> xor, VectorMask<Float> lanes) {
        from = Lanes.plain(from);
        to = Lanes.plain(to);
        for (int pair = 0; pair < rows / 2; pair++) {
            int i = (pair & -bit) << 1 | pair & bit - 1;
            FloatVector low = FloatVector.fromMemorySegment(Lanes.F, from, fromAt + i * fromRow, Lanes.ORDER);
            FloatVector high = FloatVector.fromMemorySegment(Lanes.F, from, fromAt + (i + bit) * fromRow, Lanes.ORDER);
            low.blend(high.rearrange(xor), lanes).intoMemorySegment(to, toAt + i * toRow, Lanes.ORDER);
            low.rearrange(xor).blend(high, lanes).intoMemorySegment(to, toAt + (i + bit) * toRow, Lanes.ORDER);
        }
    }

    /** Adds rows of a square to what is there. */
    private static void add(MemorySegment square, MemorySegment to, long toAt, long toRow, int rows) {
        square = Lanes.plain(square);
        to = Lanes.plain(to);
        for (int i = 0; i < rows; i++) {
            FloatVector sum = FloatVector.fromMemorySegment(Lanes.F, to, toAt + i * toRow, Lanes.ORDER)
                    .add(FloatVector.fromMemorySegment(Lanes.F, square, i * BYTES, Lanes.ORDER));
            sum.intoMemorySegment(to, toAt + i * toRow, Lanes.ORDER);
        }
    }
}

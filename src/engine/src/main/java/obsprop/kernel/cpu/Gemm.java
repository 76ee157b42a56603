package obsprop.kernel.cpu;

import java.util.Optional;
import obsprop.kernel.Transpose;
import obsprop.kernel.Write;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;

/**
 * {@code c (+)= op(a) op(b)}, plus a bias where there is one, over all threads; one object serves one call at a time. Six ways,
 * chosen by shape; between two, where that does not say which is faster, by how long they took before:
 *
 * <ul>
 *   <li>{@code X W^T} ({@link RowsTimesRows}): X packed once for all threads, rows of W in place; sums begin with the bias, which all
 *       others find in c;
 *   <li>{@code dY W} for small W ({@link StripProducts}): strips of W in place;
 *   <li>{@code dY W} of few tokens ({@link RankUpdates}): rows of W stream past, in place, and vectors run along them;
 *   <li>{@code dY W} of some, with 16 registers of any number ({@link PairUpdates}): the same, but vectors run over tokens;
 *   <li>{@code dY W} of many ({@link PanelProducts}): W packed block by block, rows of dY in place; in between, the faster of both
 *       ({@link Contest});
 *   <li>all else ({@link Blocks}): columns of b packed block by block, rows of a in place.
 * </ul>
 *
 * <p>The order of an element's sum depends on neither the number of rows of a nor the chunk or the thread: the rows of a never
 * influence each other. It runs over k in order, in {@link Blocks#count blocks}, but in {@code X W^T}, which has its own.
 */
final class Gemm {
    /** Multiply-adds below which a hand-off to other threads costs more than it saves. */
    private static final long SMALL = 200_000;
    /** Up to this many tokens there are not enough for vectors of tokens. */
    private static final int FEW = 6;
    /** The same where W is BF16, which vectors along its rows widen as they go. */
    private static final int FEW_BF16 = 10;
    /** Up to this many, updates beat packing W, which costs as much for one token as for many; with 16 registers always. */
    private static final int SOME = Tiles.WIDE ? 32 : Integer.MAX_VALUE;
    /** From this many on, packing W beats updates. Fewer depend on how caches are, and on who else uses them. */
    private static final int MANY = 257;
    /** Rows of c in a chunk at most, where columns of b are packed: enough to pay for it. */
    private static final int BLOCK_ROWS = 58 * Tiles.ROWS;

    private final Workers.Task general = this::generalChunk;
    private final Matrix a = new Matrix();
    private final Matrix b = new Matrix();
    private final Matrix c = new Matrix();
    private final StripProducts stripProducts = new StripProducts(a, b, c);
    private final RowsTimesRows rowsTimesRows = new RowsTimesRows(a, b, c);
    private final PanelProducts panelProducts = new PanelProducts(a, b, c);
    private final RankUpdates rankUpdates = new RankUpdates(a, b, c);
    private final PairUpdates pairUpdates = new PairUpdates(a, b, c);
    private final Contest contest = new Contest(System::nanoTime);
    private final FirstProducts first;
    private final Scratch scratch = new Scratch();
    private int m;
    private int n;
    private int k;
    private int columns;
    private int blockRows;
    private boolean add;

    /** @param warm whether even its first products go by vectors */
    Gemm(boolean warm) {
        first = new FirstProducts(!warm);
    }

    /** See {@link obsprop.kernel.Kernels#gemm} and, where there is a bias, {@link obsprop.kernel.Kernels#linear}. */
    void run(
            Workers workers, Tensor left, Transpose transA, Tensor right, Transpose transB, Optional<Tensor> bias, Tensor out,
            Write write) {
        a.set(left, transA);
        b.set(right, transB);
        c.set(out, Transpose.NO);
        m = out.size(0);
        n = out.size(1);
        k = left.size(transA == Transpose.NO ? 1 : 0);
        add = write == Write.ACCUMULATE;
        if (m == 0 || n == 0) {
            return;
        }
        boolean plain = first.take(a, b, m, n, k);
        boolean rowsInPlace = transA == Transpose.NO && a.type == DType.F32;
        if (!plain && rowsInPlace && transB == Transpose.YES) {
            rowsTimesRows.run(workers, m, n, k, bias, add);
            return;
        }
        if (bias.isPresent()) {
            Copies.broadcast(bias.get(), out, write, scratch);
            add = true;
        }
        if (plain) {
            FirstProducts.run(a, b, c, m, n, k, add);
        } else if (rowsInPlace && transB == Transpose.NO && StripProducts.small(n, k)) {
            stripProducts.run(workers, m, n, k, add);
        } else if (rowsInPlace && m <= (b.type == DType.BF16 ? FEW_BF16 : FEW) && k > 0) {
            rankUpdates.run(workers, m, n, k, add);
        } else if (rowsInPlace && m <= SOME && k > 0) {
            pairUpdates.run(workers, m, n, k, add);
        } else if (rowsInPlace && m < MANY && k > 0) {
            updateOrPack(workers);
        } else if (rowsInPlace && k > 0) {
            panelProducts.run(workers, m, n, k, add);
        } else {
            columns = share(n, Blocks.GATHERED_FOR, workers);
            blockRows = evenPiece(m, ceil(m, BLOCK_ROWS), Tiles.ROWS);
            launch(workers, general, ceil(n, columns) * ceil(m, blockRows), (long) m * n * k);
        }
    }

    /** {@code dY W} by the way that is faster here and now; the bits are the same. */
    private void updateOrPack(Workers workers) {
        long shape = ((long) k << 32 | n) * MANY + ceil(m, Lanes.N);
        if (contest.begin((shape * 31 + b.type.ordinal()) * 31 + workers.threads()) == 0) {
            pairUpdates.run(workers, m, n, k, add);
        } else {
            panelProducts.run(workers, m, n, k, add);
        }
        contest.end();
    }

    static void launch(Workers workers, Workers.Task task, int chunks, long multiplyAdds) {
        if (multiplyAdds <= SMALL) {
            workers.runInline(task, chunks);
        } else {
            workers.run(task, chunks);
        }
    }

    static int ceil(int x, int unit) {
        return (x + unit - 1) / unit;
    }

    /** The least multiple of {@code unit} of which {@code pieces} make up {@code size}. */
    static int evenPiece(int size, int pieces, int unit) {
        return ceil(ceil(size, pieces), unit) * unit;
    }

    /** A multiple of {@code unit} such that {@code size} makes some three chunks a thread; results do not depend on it. */
    static int share(int size, int unit, Workers workers) {
        return Math.max(1, ceil(size, unit) / (3 * workers.threads())) * unit;
    }

    /**
     * A multiple of {@code unit}, at most {@code most}, in whose chunks all threads end at about the same time; small ones
     * count as dearer by {@code overhead} each.
     */
    static int evenShare(int size, int unit, int most, int overhead, Workers workers) {
        return evenShare(size, 1, unit, most, overhead, workers);
    }

    /** The same for {@code times} times {@code size}, each in chunks by itself. */
    static int evenShare(int size, int times, int unit, int most, int overhead, Workers workers) {
        int best = unit;
        double least = Double.POSITIVE_INFINITY;
        for (int chunk = most; chunk >= unit; chunk -= unit) {
            double cost = cost(size, times, chunk, overhead, workers);
            if (cost < least) {
                least = cost;
                best = chunk;
            }
        }
        return best;
    }

    /** When the last thread ends, chunks being claimed one by one. */
    static double cost(int size, int times, int chunk, int overhead, Workers workers) {
        int whole = times * (size / chunk);
        int last = whole % workers.threads() > 0 ? chunk : size % chunk;
        return (double) (whole / workers.threads() * chunk + last) * (chunk + overhead) / chunk;
    }

    private void generalChunk(int chunk, Scratch scratch) {
        int colChunks = ceil(n, columns);
        int col = chunk % colChunks * columns;
        int row = chunk / colChunks * blockRows;
        Matrix left = scratch.a.set(a).at(row, 0);
        Matrix right = scratch.b.set(b).at(0, col);
        Matrix out = scratch.c.set(c).at(row, col);
        int rows = Math.min(blockRows, m - row);
        int cols = Math.min(columns, n - col);
        Blocks.multiply(scratch, left, right, out, rows, cols, k, add);
    }
}

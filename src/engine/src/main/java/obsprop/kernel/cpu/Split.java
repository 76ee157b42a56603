package obsprop.kernel.cpu;

/**
 * How threads share {@code dX (+)= dY W} of few tokens, [m,k] by [k,n]: by strips of columns and, where these would be short, by parts of k
 * too. So each reads runs of W of its own; where two read halves of every row, both wait longer for memory. A part is some of the
 * {@link Blocks#count blocks} of k. Its sums are kept block by block, unless it is the first, until all can be added in the order of k, so that
 * results do not depend on the number of threads.
 *
 * <p>Chunks are numbered strip by strip from the last one, which may be shorter, so that it is claimed last.
 */
final class Split {
    /** Columns of a strip at most: where a run of memory begins, it is waited for. */
    private static final int LONGEST = 8192;
    /** The same where a longer strip's sums would not stay in L2. */
    private static final int LONG = 2048;
    /** Floats of a strip's sums, 512 KiB, that stay in L2. */
    private static final int IN_L2 = 1 << 17;
    /** What a strip costs beside its columns, in columns. */
    private static final int OVERHEAD_COLUMNS = 32;
    /** Columns whose parts of sums are added at a time. */
    private static final int FINISHED = 256;
    /** Floats of kept sums at most, 8 MiB: what a last cache may have. With more, k is not parted. */
    private static final long MOST_KEPT = 1 << 21;

    /** Columns of a strip, but for the last: whole pairs of vectors. */
    private int strip;
    /** Parts of k. */
    int parts;
    private int m;
    private int n;
    private int k;
    private int blocks;
    private int blocksOfPart;

    /** Chooses strips, and up to a part for every thread, such that all threads end at about the same time. */
    void choose(int rows, int cols, int ofK, Workers workers) {
        m = rows;
        n = cols;
        k = ofK;
        blocks = Blocks.count(k);
        int most = Math.clamp(IN_L2 / m, LONG, LONGEST) / (2 * Lanes.N) * (2 * Lanes.N);
        double least = Double.POSITIVE_INFINITY;
        for (int share = blocks; share == blocks || mayPart(share, workers); share = Gemm.ceil(share, 2)) {
            int count = Gemm.ceil(blocks, share);
            int columns = Gemm.evenShare(n, count, 2 * Lanes.N, most, OVERHEAD_COLUMNS, workers);
            double cost = share * Gemm.cost(n, count, columns, OVERHEAD_COLUMNS, workers);
            if (cost < least) {
                least = cost;
                strip = columns;
                parts = count;
                blocksOfPart = share;
            }
            if (share == 1) {
                return;
            }
        }
    }

    /** Whether parts may have as few as {@code share} blocks. */
    private boolean mayPart(int share, Workers workers) {
        return Gemm.ceil(blocks, share) <= workers.threads() && (1L + blocks - share) * m * n <= MOST_KEPT;
    }

    /** Runs a task's {@link #chunks}; where k is parted, {@code finish} then gets pieces of n, [{@link #piece}, {@link #endOfPiece}). */
    void launch(Workers workers, Workers.Task task, Workers.Task finish) {
        Gemm.launch(workers, task, chunks(), (long) m * n * k);
        if (parts > 1) {
            Gemm.launch(workers, finish, Gemm.ceil(n, FINISHED), 8L * kept() * m * n);
        }
    }

    int piece(int chunk) {
        return chunk * FINISHED;
    }

    int endOfPiece(int chunk) {
        return Math.min(n, piece(chunk + 1));
    }

    /** Bytes from row to row of a copy of a strip: not a power of two, or all would fall into the same sets of the cache. */
    long copyRow() {
        return 4L * Lanes.N * (Gemm.ceil(Math.min(n, strip), Lanes.N) | 1);
    }

    private int strips() {
        return Gemm.ceil(n, strip);
    }

    private int chunks() {
        return parts * strips();
    }

    int column(int chunk) {
        return (strips() - 1 - chunk / parts) * strip;
    }

    int endColumn(int chunk) {
        return Math.min(n, column(chunk) + strip);
    }

    int part(int chunk) {
        return chunk % parts;
    }

    /** The first block of a part. */
    int from(int part) {
        return part * blocksOfPart;
    }

    /** The block after its last. */
    int to(int part) {
        return Math.min(blocks, from(part + 1));
    }

    /** Sums that are kept: those of the first part, and of every block of the others. */
    int kept() {
        return 1 + blocks - blocksOfPart;
    }

    /** Whether the sums of a block are kept as they are, and not added to those before. */
    boolean opens(int block) {
        return block == 0 || block >= blocksOfPart;
    }

    /** The place, of {@link #kept}, of a block. */
    int place(int block) {
        return Math.max(0, block - blocksOfPart + 1);
    }
}

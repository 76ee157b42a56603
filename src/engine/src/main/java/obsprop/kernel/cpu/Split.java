package obsprop.kernel.cpu;

/**
 * How threads share {@code dX (+)= dY W} of few tokens, [m,k] by [k,n]: by strips of columns and, where these would be short, by parts of k
 * too. So each reads runs of W of its own; where two read halves of every row, both wait longer for memory. A part is some blocks of k
 * ({@link Blocks#depth}). Its sums are kept block by block, unless it is the first, until all can be added in the order of k: that
 * results do not depend on the number of threads.
 *
 * <p>Chunks are numbered part by part, strip by strip.
 */
final class Split {
    /** Columns of a strip, but for the last: whole pairs of vectors. */
    int strip;
    /** Parts of k. */
    int parts;
    private int n;
    private int k;
    private int depth;
    private int blocks;
    private int blocksOfPart;

    /**
     * Chooses strips, {@code most} columns at most, and up to a part for every thread, such that all threads end at about the same time; a
     * strip counts as dearer by {@code overhead} columns.
     */
    void choose(int cols, int ofK, int most, int overhead, Workers workers) {
        n = cols;
        k = ofK;
        depth = Blocks.depth(k);
        blocks = Math.max(1, Gemm.ceil(k, depth));
        double least = Double.POSITIVE_INFINITY;
        for (int share = blocks; Gemm.ceil(blocks, share) <= workers.threads(); share = Gemm.ceil(share, 2)) {
            int count = Gemm.ceil(blocks, share);
            int columns = Gemm.evenShare(n, count, 2 * Lanes.N, most, overhead, workers);
            double cost = share * Gemm.cost(n, count, columns, overhead, workers);
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

    int strips() {
        return Gemm.ceil(n, strip);
    }

    int chunks() {
        return parts * strips();
    }

    int column(int chunk) {
        return chunk % strips() * strip;
    }

    int part(int chunk) {
        return chunk / strips();
    }

    /** Where a part begins in k. */
    int from(int part) {
        return part * blocksOfPart * depth;
    }

    /** Where it ends. */
    int to(int part) {
        return Math.min(k, from(part + 1));
    }

    int depth() {
        return depth;
    }

    /** Sums that are kept: those of the first part, and of every block of the others. */
    int kept() {
        return 1 + blocks - blocksOfPart;
    }

    /** Whether the sums of the block that begins at {@code row} are kept as they are, and not added to those before. */
    boolean opens(int row) {
        return row == 0 || row >= from(1);
    }

    /** The place, of {@link #kept}, of the block that begins at {@code row}. */
    int place(int row) {
        return Math.max(0, row / depth - blocksOfPart + 1);
    }
}

package obsprop.kernel.cpu;

import java.util.Arrays;

/**
 * A range cut into chunks, which threads claim one by one from the highest down to 0: of one size where each thread gets only a few, else
 * smaller towards the end. Threads never keep the same pace, and whoever has the last chunk is waited for. Reusable.
 */
final class Pieces {
    /** Whole chunks a thread from which on the last ones are smaller. */
    private static final int MANY = 5;

    private int[] starts = new int[64];
    private int count;

    /**
     * Cuts {@code size} into multiples of {@code unit}, at most {@code most}; small ones count as dearer by {@code overhead} each. Where the cuts
     * are depends on the number of threads, so no result may depend on them.
     */
    void cut(int size, int unit, int most, int overhead, Workers workers) {
        boolean many = workers.threads() > 1 && size >= MANY * most * workers.threads();
        int even = many ? most : Gemm.evenShare(size, unit, most, overhead, workers);
        count = 0;
        for (int start = 0; start < size; count++) {
            if (count + 1 == starts.length) {
                starts = Arrays.copyOf(starts, 2 * starts.length);
            }
            starts[count] = start;
            int share = many ? start / workers.threads() / unit * unit : even;
            start = Math.min(size, start + Math.clamp(share, unit, even));
        }
        starts[count] = size;
    }

    int count() {
        return count;
    }

    int start(int chunk) {
        return starts[chunk];
    }

    int size(int chunk) {
        return starts[chunk + 1] - starts[chunk];
    }
}

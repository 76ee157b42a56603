package obsprop.weights;

/** SplitMix64: small, fast, and the same numbers on every machine and in every Java release for one seed. */
public final class SeededRandom {
    private static final long STEP = 0x9E3779B97F4A7C15L;
    private static final double TO_UNIT = 0x1.0p-53;

    private static final double BELL_MEAN = 2 * 65535.0;
    private static final double BELL_SCALE = Math.sqrt(3) / 65536;

    private long state;

    public SeededRandom(long seed) {
        state = seed;
    }

    /** An independent stream: the one numbered {@code stream} under {@code seed}. */
    public static SeededRandom stream(long seed, long stream) {
        return new SeededRandom(mix(seed ^ mix(stream + STEP)));
    }

    /** 64 random bits. */
    public long nextLong() {
        state += STEP;
        return mix(state);
    }

    private static long mix(long z) {
        long x = (z ^ z >>> 30) * 0xBF58476D1CE4E5B9L;
        x = (x ^ x >>> 27) * 0x94D049BB133111EBL;
        return x ^ x >>> 31;
    }

    /** Uniform in [0, 1). */
    public double nextDouble() {
        return (nextLong() >>> 11) * TO_UNIT;
    }

    /** Uniform in 0 to {@code bound - 1}. */
    public int nextInt(int bound) {
        return (int) (nextDouble() * bound);
    }

    /**
     * Bell-shaped with mean 0 and standard deviation 1: the sum of four uniform numbers of 16 bits each, scaled. Within
     * 3.5 deviations, and fast.
     */
    public double nextBell() {
        long bits = nextLong();
        long sum = (bits & 0xFFFF) + (bits >>> 16 & 0xFFFF) + (bits >>> 32 & 0xFFFF) + (bits >>> 48);
        return (sum - BELL_MEAN) * BELL_SCALE;
    }

    /** Shuffles {@code items} in place. */
    public void shuffle(int[] items) {
        for (int i = items.length - 1; i > 0; i--) {
            int j = nextInt(i + 1);
            int swapped = items[i];
            items[i] = items[j];
            items[j] = swapped;
        }
    }
}

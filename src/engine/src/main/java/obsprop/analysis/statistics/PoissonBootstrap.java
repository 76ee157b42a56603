package obsprop.analysis.statistics;

import java.io.DataInput;
import java.io.DataOutput;
import java.io.IOException;
import java.util.Arrays;
import java.util.function.ToDoubleFunction;
import java.util.stream.Stream;

/**
 * The bootstrap for streams: in every replicate each block (a window of text) counts a Poisson(1) number of times, drawn
 * from the seed, the block's number and the replicate's alone. Memory does not grow with the stream, whole blocks are
 * resampled because tokens of one window depend on each other, and a resumed run draws as an unbroken one.
 */
public final class PoissonBootstrap {
    private final long seed;
    private final Moments[] replicates;

    public PoissonBootstrap(int replicates, long seed) {
        this(seed, Stream.generate(Moments::new).limit(replicates).toArray(Moments[]::new));
    }

    private PoissonBootstrap(long seed, Moments[] replicates) {
        this.seed = seed;
        this.replicates = replicates;
    }

    /** Takes in one block. */
    public void add(long block, Moments moments) {
        for (int b = 0; b < replicates.length; b++) {
            replicates[b].add(moments, poisson(mix(mix(mix(seed) + block) + b)));
        }
    }

    /** The percentile interval of a statistic of the moments. */
    public Interval interval(ToDoubleFunction<Moments> statistic, double level) {
        return Interval.percentile(Arrays.stream(replicates).mapToDouble(statistic).toArray(), level);
    }

    /** A Poisson(1) number by inversion of a uniform one. */
    private static int poisson(long bits) {
        double u = (bits >>> 11) * 0x1p-53;
        double probability = Math.exp(-1);
        int k = 0;
        for (double below = probability; u >= below && probability > 0; below += probability) {
            k++;
            probability /= k;
        }
        return k;
    }

    /** SplitMix64 (Steele, Lea and Flood, 2014). */
    private static long mix(long x) {
        long z = x + 0x9E3779B97F4A7C15L;
        z = (z ^ z >>> 30) * 0xBF58476D1CE4E5B9L;
        z = (z ^ z >>> 27) * 0x94D049BB133111EBL;
        return z ^ z >>> 31;
    }

    /** Writes the state, to the bit. */
    public void write(DataOutput out) throws IOException {
        out.writeLong(seed);
        out.writeInt(replicates.length);
        for (Moments m : replicates) {
            m.write(out);
        }
    }

    /** Reads what {@link #write} wrote. */
    public static PoissonBootstrap read(DataInput in) throws IOException {
        long seed = in.readLong();
        Moments[] replicates = new Moments[in.readInt()];
        for (int b = 0; b < replicates.length; b++) {
            replicates[b] = Moments.read(in);
        }
        return new PoissonBootstrap(seed, replicates);
    }
}

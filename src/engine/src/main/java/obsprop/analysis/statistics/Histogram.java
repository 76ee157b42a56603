package obsprop.analysis.statistics;

import java.io.DataInput;
import java.io.DataOutput;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;

/**
 * Counts of a stream of numbers in at most {@link #MAX_BINS} equal bins, whatever their range: the width of a bin is a
 * power of two, starts small and doubles when the bins do not suffice. Counts are exact.
 */
public final class Histogram {
    public static final int MAX_BINS = 128;
    /** Bins start this many powers of two below the first number. */
    private static final int INITIAL_RESOLUTION = 30;
    private static final int SMALLEST_EXPONENT = -1000;
    /** Bin numbers stay exact in a double. */
    private static final double LARGEST_INDEX = 0x1p52;

    private int exponent;
    private long first;
    private long[] counts = {};

    /** Empty. */
    public Histogram() {}

    /** {@code low <= x < high}. */
    public record Bin(double low, double high, long count) {}

    /** Takes in a finite number. */
    public void add(double x) {
        if (counts.length == 0) {
            exponent = Math.max(SMALLEST_EXPONENT, Math.getExponent(x) - INITIAL_RESOLUTION);
            first = index(x);
            counts = new long[1];
        }
        while (Math.abs(Math.scalb(x, -exponent)) >= LARGEST_INDEX) {
            coarsen();
        }
        while (Math.max(index(x), last()) - Math.min(index(x), first) >= MAX_BINS) {
            coarsen();
        }
        extendTo(index(x));
        counts[(int) (index(x) - first)]++;
    }

    private long index(double x) {
        return (long) Math.floor(Math.scalb(x, -exponent));
    }

    private long last() {
        return first + counts.length - 1;
    }

    private void coarsen() {
        long newFirst = first >> 1;
        long[] merged = new long[(int) ((last() >> 1) - newFirst) + 1];
        for (int i = 0; i < counts.length; i++) {
            merged[(int) ((first + i >> 1) - newFirst)] += counts[i];
        }
        first = newFirst;
        counts = merged;
        exponent++;
    }

    private void extendTo(long index) {
        long newFirst = Math.min(first, index);
        long newLast = Math.max(last(), index);
        if (newFirst != first || newLast != last()) {
            long[] wider = new long[(int) (newLast - newFirst) + 1];
            System.arraycopy(counts, 0, wider, (int) (first - newFirst), counts.length);
            first = newFirst;
            counts = wider;
        }
    }

    /** All bins from the lowest to the highest number, empty ones between them included. */
    public List<Bin> bins() {
        List<Bin> bins = new ArrayList<>();
        for (int i = 0; i < counts.length; i++) {
            bins.add(new Bin(
                    Math.scalb((double) (first + i), exponent), Math.scalb((double) (first + i + 1), exponent), counts[i]));
        }
        return bins;
    }

    /** Writes the state. */
    public void write(DataOutput out) throws IOException {
        out.writeInt(exponent);
        out.writeLong(first);
        out.writeInt(counts.length);
        for (long count : counts) {
            out.writeLong(count);
        }
    }

    /** Reads what {@link #write} wrote. */
    public static Histogram read(DataInput in) throws IOException {
        Histogram h = new Histogram();
        h.exponent = in.readInt();
        h.first = in.readLong();
        h.counts = new long[in.readInt()];
        for (int i = 0; i < h.counts.length; i++) {
            h.counts[i] = in.readLong();
        }
        return h;
    }
}

package obsprop.bench;

import java.util.ArrayList;
import java.util.List;
import java.util.function.LongSupplier;
import org.openjdk.jmh.infra.BenchmarkParams;

/**
 * Turns iterations into GFLOP/s and GB/s with the limits of the same seconds beside them: before and after each iteration
 * the limits are measured, and the summary shows medians over the iterations. With one thread all times are CPU times,
 * which other work on the machine disturbs less.
 */
final class Meter implements AutoCloseable {
    private final String what;
    private final double flops;
    private final double bytes;
    private final Limits limits;
    private final LongSupplier clock;
    private final List<Double> seconds = new ArrayList<>();
    private final List<Double> ofPeak = new ArrayList<>();
    private final List<Double> ofBandwidth = new ArrayList<>();
    private final List<Double> peaks = new ArrayList<>();
    private final List<Double> bandwidths = new ArrayList<>();
    private double peakBefore;
    private double bandwidthBefore;
    private long start;
    private long calls;

    /**
     * @param flops floating point operations of one call
     * @param bytes bytes of weights that one call must read
     */
    Meter(String what, double flops, double bytes, int threads) {
        this.what = what;
        this.flops = flops;
        this.bytes = bytes;
        clock = Limits.clock(threads);
        limits = new Limits(threads);
    }

    void startIteration() {
        peakBefore = limits.gflops();
        bandwidthBefore = limits.gigabytes();
        calls = 0;
        start = clock.getAsLong();
    }

    void call() {
        calls++;
    }

    void endIteration() {
        double each = (clock.getAsLong() - start) * 1e-9 / calls;
        double peak = (peakBefore + limits.gflops()) / 2;
        double bandwidth = (bandwidthBefore + limits.gigabytes()) / 2;
        seconds.add(each);
        peaks.add(peak);
        bandwidths.add(bandwidth);
        ofPeak.add(100 * flops / each * 1e-9 / peak);
        ofBandwidth.add(100 * bytes / each * 1e-9 / bandwidth);
    }

    /** Seconds of a call, the median of the iterations. */
    double medianSeconds() {
        return median(seconds);
    }

    /** Prints the summary: medians of the measured iterations. */
    @Override
    public void close() {
        limits.close();
        double each = medianSeconds();
        System.out.printf(
                "%n%s: %.3f ms, %.1f GFLOP/s, %.0f %% of FMA peak %.0f; %.1f GB/s of weights, %.0f %% of %.1f%n",
                what, each * 1e3, flops / each * 1e-9, median(ofPeak), median(peaks), bytes / each * 1e-9,
                median(ofBandwidth), median(bandwidths));
    }

    /** Forgets the iterations that were for warming up, as many as the run was told. */
    void forgetWarmup(BenchmarkParams parameters) {
        int iterations = parameters.getWarmup().getCount();
        for (List<Double> list : List.of(seconds, peaks, bandwidths, ofPeak, ofBandwidth)) {
            list.subList(0, Math.min(iterations, list.size())).clear();
        }
    }

    private static double median(List<Double> values) {
        return values.stream().sorted().toList().get(values.size() / 2);
    }
}

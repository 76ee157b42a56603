package obsprop.analysis.statistics;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;

/** Running statistics against their definitions. */
class StatisticsTest {
    @Test
    void momentsAreThoseOfTheWholeSampleHoweverItIsCut() {
        Random random = new Random(1);
        double[] x = random.doubles(1000).map(u -> 1e6 + u).toArray();
        double[] y = Arrays.stream(x).map(v -> -2 * v + random.nextGaussian()).toArray();
        Moments whole = new Moments();
        Moments merged = new Moments();
        for (int i = 0; i < x.length; ) {
            Moments part = new Moments();
            for (int end = Math.min(x.length, i + 1 + random.nextInt(90)); i < end; i++) {
                part.add(x[i], y[i]);
                whole.add(x[i], y[i]);
            }
            merged.add(part, 1);
        }
        double mx = Arrays.stream(x).average().orElseThrow();
        double my = Arrays.stream(y).average().orElseThrow();
        double sxx = 0;
        double sxy = 0;
        double syy = 0;
        for (int i = 0; i < x.length; i++) {
            sxx += (x[i] - mx) * (x[i] - mx);
            sxy += (x[i] - mx) * (y[i] - my);
            syy += (y[i] - my) * (y[i] - my);
        }
        for (Moments m : List.of(whole, merged)) {
            assertEquals(mx, m.meanX(), 1e-8);
            assertEquals(sxy / sxx, m.line().slope(), 1e-8);
            assertEquals(sxy * sxy / (sxx * syy), m.line().r2(), 1e-8);
            assertEquals(my - sxy / sxx * mx, m.line().intercept(), 1e-2);
            assertEquals(Math.sqrt(sxx / 999), m.deviationX(), 1e-9);
        }
    }

    @Test
    void countingABlockTwiceIsAddingItTwice() {
        Moments block = new Moments();
        block.add(1, 2);
        block.add(4, -1);
        block.add(5, 5);
        Moments once = new Moments();
        once.add(3, 3);
        Moments twice = new Moments();
        twice.add(once, 1);
        twice.add(block, 2);
        once.add(block, 1);
        once.add(block, 1);
        assertEquals(once.line().slope(), twice.line().slope(), 1e-14);
        assertEquals(once.count(), twice.count());
        assertEquals(once.deviationX(), twice.deviationX(), 1e-13);
    }

    /** A 90 % interval of a slope holds the truth in about 90 of 100 samples. */
    @Test
    void bootstrapIntervalsCover() {
        int covered = 0;
        int samples = 200;
        for (int s = 0; s < samples; s++) {
            Random random = new Random(s);
            PoissonBootstrap bootstrap = new PoissonBootstrap(200, s);
            for (int block = 0; block < 100; block++) {
                Moments moments = new Moments();
                double common = random.nextGaussian();
                for (int i = 0; i < 5; i++) {
                    double x = random.nextGaussian();
                    moments.add(x, 0.5 * x + common * x + random.nextGaussian());
                }
                bootstrap.add(block, moments);
            }
            covered += bootstrap.interval(m -> m.line().slope(), 0.9).contains(0.5) ? 1 : 0;
        }
        System.out.println("a 90 % interval covered the truth " + covered + " times of " + samples);
        double error = Math.sqrt(samples * 0.9 * 0.1);
        assertEquals(0.88 * samples, covered, 4 * error);
    }

    @Test
    void histogramCountsEveryNumberInItsBin() {
        for (int seed = 0; seed < 20; seed++) {
            Random random = new Random(seed);
            double scale = Math.pow(10, random.nextInt(-12, 12));
            double[] x = random.doubles(3000).map(u -> random.nextGaussian() * scale + (random.nextInt(3) - 1) * scale).toArray();
            x[7] = 0;
            x[1500] = 40 * scale;
            Histogram histogram = new Histogram();
            Arrays.stream(x).forEach(histogram::add);
            List<Histogram.Bin> bins = histogram.bins();
            assertTrue(bins.size() <= Histogram.MAX_BINS && bins.size() > Histogram.MAX_BINS / 2, bins.size() + " bins");
            for (Histogram.Bin bin : bins) {
                long expected = Arrays.stream(x).filter(v -> bin.low() <= v && v < bin.high()).count();
                assertEquals(expected, bin.count());
            }
            assertEquals(x.length, bins.stream().mapToLong(Histogram.Bin::count).sum());
        }
    }

    @Test
    void histogramTakesNumbersOfAnySize() {
        Histogram histogram = new Histogram();
        double[] x = {0, 1e-300, 1, -3, 1e200, -1e-10, Double.MAX_VALUE, Double.MIN_VALUE};
        Arrays.stream(x).forEach(histogram::add);
        assertEquals(x.length, histogram.bins().stream().mapToLong(Histogram.Bin::count).sum());
    }

    @Test
    void percentilesInterpolate() {
        Interval interval = Interval.percentile(new double[] {4, 1, 3, Double.NaN, 2, 5}, 0.5);
        assertEquals(2, interval.low(), 1e-15);
        assertEquals(4, interval.high(), 1e-15);
    }
}

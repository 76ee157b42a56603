package obsprop.analysis.statistics;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Random;
import org.junit.jupiter.api.Test;

class AucTest {
    @Test
    void ranksAgreeWithTheDefinition() {
        Random random = new Random(1);
        for (int round = 0; round < 200; round++) {
            int levels = 1 + random.nextInt(30);
            double[] high = random.ints(1 + random.nextInt(20), 0, levels).asDoubleStream().toArray();
            double[] low = random.ints(1 + random.nextInt(20), 0, levels).asDoubleStream().toArray();
            assertEquals(byPairs(high, low), Auc.of(high, low), 1e-12);
        }
    }

    @Test
    void ofScoresThatAreNotNumbersThereIsNone() {
        assertEquals(Double.NaN, Auc.of(new double[] {1, Double.NaN}, new double[] {0}));
        assertEquals(Double.NaN, Auc.of(new double[] {1}, new double[] {Double.NaN, Double.NaN}));
    }

    private static double byPairs(double[] high, double[] low) {
        double won = 0;
        for (double h : high) {
            for (double l : low) {
                won += h > l ? 1 : h == l ? 0.5 : 0;
            }
        }
        return won / ((double) high.length * low.length);
    }

    /** For normal scores one deviation apart the area is Phi(1/sqrt(2)) = 0.76025. */
    @Test
    void intervalsHoldTheTruth() {
        int covered = 0;
        int rounds = 100;
        for (int seed = 0; seed < rounds; seed++) {
            Random random = new Random(seed);
            double[] high = random.doubles(60).map(u -> 1 + random.nextGaussian()).toArray();
            double[] low = random.doubles(50).map(u -> random.nextGaussian()).toArray();
            Interval interval = Auc.interval(high, low, 200, 0.9, seed);
            assertTrue(interval.contains(Auc.of(high, low)));
            covered += interval.contains(0.76025) ? 1 : 0;
        }
        System.out.println("a 90 % interval of the area covered it " + covered + " times of " + rounds);
        assertEquals(0.9 * rounds, covered, 4 * Math.sqrt(rounds * 0.9 * 0.1));
    }
}

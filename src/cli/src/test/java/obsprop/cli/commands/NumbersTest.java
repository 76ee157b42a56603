package obsprop.cli.commands;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Locale;
import java.util.Random;
import org.junit.jupiter.api.Test;

class NumbersTest {
    @Test
    void fourDecimalsAreThoseOfAFormat() {
        Random random = new Random(4);
        for (int i = 0; i < 100_000; i++) {
            double value = random.nextGaussian() * Math.pow(10, random.nextInt(-7, 12));
            assertEquals(String.format(Locale.ROOT, "%.4f", value), Numbers.fixed(value));
        }
        for (double value : new double[] {0, -0.0, 1, -1, 0.99995, 0.00004, -0.00004, 999_999_999.99999, 1e9, -1e9, 1e300,
            Double.MIN_VALUE, Double.NaN, Double.POSITIVE_INFINITY, Double.NEGATIVE_INFINITY}) {
            assertEquals(String.format(Locale.ROOT, "%.4f", value), Numbers.fixed(value));
        }
    }
}

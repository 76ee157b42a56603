package obsprop.kernel.scalar;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.math.BigDecimal;
import java.math.MathContext;
import obsprop.kernel.Activation;
import obsprop.tensor.DType;
import obsprop.testing.Measured;
import obsprop.testing.Tolerance;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

final class ActivationsTest {
    /** Enough digits that the alternating series below keeps 20 of erfc(7), about 4e-23. */
    private static final MathContext DIGITS = new MathContext(90);

    private static final BigDecimal PI = new BigDecimal(
            "3.14159265358979323846264338327950288419716939937510582097494459230781640628620899862803482534211706798");

    /** {@code 2/sqrt(pi) sum_n (-1)^n x^(2n+1) / (n! (2n+1))}, summed in decimal. */
    private static BigDecimal series(double x) {
        BigDecimal square = new BigDecimal(x).pow(2);
        BigDecimal power = new BigDecimal(x);
        BigDecimal sum = BigDecimal.ZERO;
        for (int n = 0; power.abs().compareTo(new BigDecimal("1e-80")) > 0; n++) {
            sum = sum.add(power.divide(BigDecimal.valueOf(2L * n + 1), DIGITS), DIGITS);
            power = power.multiply(square, DIGITS).negate().divide(BigDecimal.valueOf(n + 1), DIGITS);
        }
        return sum.multiply(BigDecimal.TWO).divide(PI.sqrt(DIGITS), DIGITS);
    }

    @Test
    void errorFunctionAgainstItsSeries() {
        try (Measured erf = new Measured("erf, relative");
                Measured erfc = new Measured("erfc, relative")) {
            for (double x = 1.0 / 64; x < 7; x += 1.0 / 64 + 1e-3) {
                BigDecimal expected = series(x);
                double complement = BigDecimal.ONE.subtract(expected).doubleValue();
                for (int sign : new int[] {1, -1}) {
                    erf.check("at " + sign * x, sign * Erf.erf(sign * x) / expected.doubleValue(), 1, 1e-15);
                }
                erfc.check("at " + x, Erf.erfc(x) / complement, 1, 1e-15);
                erfc.check("at -" + x, Erf.erfc(-x) / (2 - complement), 1, 1e-15);
            }
        }
        assertEquals(0, Erf.erf(0));
        assertEquals(1, Erf.erf(50));
        assertEquals(2, Erf.erfc(-50));
        assertEquals(Double.NaN, Erf.erf(Double.NaN));
    }

    /** The values as their definitions have them, in the range where those neither cancel nor overflow. */
    @ParameterizedTest
    @EnumSource
    void definitions(Activation f) {
        try (Measured measured = new Measured("definition of " + f)) {
            for (double x = -5; x <= 5; x += 0.37) {
                double sigmoid = 1 / (1 + Math.exp(-x));
                double expected =
                        switch (f) {
                            case GELU_ERF -> x / 2 * (1 + series(x / Math.sqrt(2)).doubleValue());
                            case GELU_TANH -> x / 2 * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x)));
                            case QUICK_GELU -> x / (1 + Math.exp(-1.702 * x));
                            case RELU -> x > 0 ? x : 0;
                            case RELU_SQUARED -> x > 0 ? x * x : 0;
                            case SILU -> x * sigmoid;
                            case TANH -> (Math.exp(2 * x) - 1) / (Math.exp(2 * x) + 1);
                            case SIGMOID -> sigmoid;
                            case IDENTITY -> x;
                        };
                measured.check("at " + x, Activations.value(f, x), expected, Tolerance.of(DType.F64, 1, Math.max(1, expected)));
            }
        }
    }

    @ParameterizedTest
    @EnumSource
    void saturateWithoutNaN(Activation f) {
        for (double x : new double[] {100, 1e4, 1e30}) {
            double above = Activations.value(f, x);
            double below = Activations.value(f, -x);
            boolean bounded = f == Activation.TANH || f == Activation.SIGMOID;
            double top = f == Activation.RELU_SQUARED ? x * x : x;
            assertEquals(bounded ? 1 : top, above);
            assertEquals(f == Activation.IDENTITY ? -x : f == Activation.TANH ? -1 : 0, below, 1e-40);
            double slope = f == Activation.RELU_SQUARED ? 2 * x : 1;
            assertEquals(bounded ? 0 : slope, Activations.derivative(f, x), 1e-40);
            assertEquals(f == Activation.IDENTITY ? 1 : 0, Activations.derivative(f, -x), 1e-40);
        }
        assertEquals(0, Activations.derivative(Activation.RELU, 0));
    }
}

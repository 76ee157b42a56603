package obsprop.testing;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import obsprop.kernel.Kernels;
import obsprop.tensor.Tensor;

/** Comparison with the reference implementation: absolute against max(1, the largest expected value). */
public final class Agreement {
    /** What the project promises against the golden fixtures, whose own float32 steps leave about 2e-5. */
    public static final double GOLDEN = 5e-5;

    private Agreement() {}

    /** The error of {@code actual} as a share of max(1, largest expected value); prints it. */
    public static double error(String what, double[] expected, double[] actual) {
        assertEquals(expected.length, actual.length, what);
        double largest = 1;
        double difference = 0;
        for (int i = 0; i < expected.length; i++) {
            largest = Math.max(largest, Math.abs(expected[i]));
            double here = Math.abs(expected[i] - actual[i]);
            difference = Double.isNaN(here) ? Double.POSITIVE_INFINITY : Math.max(difference, here);
        }
        double error = difference / largest;
        System.out.printf("%-64s %.1e%n", what, error);
        return error;
    }

    /** The same for a result that lies where the kernels compute. */
    public static void check(Kernels kernels, String what, Tensor expected, Tensor actual, double tolerance) {
        try (Arena arena = Arena.ofConfined()) {
            check(what, expected, Tensors.onHost(arena, kernels, actual), tolerance);
        }
    }

    public static void check(String what, Tensor expected, Tensor actual, double tolerance) {
        double error = error(what, expected.toDoubles(), actual.toDoubles());
        assertTrue(error <= tolerance, () -> what + ": off by " + error + ", more than " + tolerance);
    }
}

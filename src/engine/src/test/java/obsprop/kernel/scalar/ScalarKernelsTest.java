package obsprop.kernel.scalar;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;

import java.lang.foreign.Arena;
import java.util.Optional;
import obsprop.kernel.AttentionSpec;
import obsprop.kernel.Kernels.AttentionSaved;
import obsprop.kernel.Kernels;
import obsprop.kernel.NormParameters.Kind;
import obsprop.kernel.NormParameters;
import obsprop.kernel.RotaryStyle;
import obsprop.kernel.Segments;
import obsprop.kernel.Transpose;
import obsprop.kernel.Write;
import obsprop.tensor.Tensor;
import obsprop.testing.Tensors;
import org.junit.jupiter.api.Test;

/** The oracle's forward operations on numbers worked out by hand, as nothing else is its oracle. */
final class ScalarKernelsTest {
    private static final double TOLERANCE = 1e-15;

    private final Kernels kernels = ScalarKernels.float64();
    private final Arena arena = Arena.ofAuto();

    private Tensor tensor(double[] values, int... shape) {
        return Tensors.of(arena, values, shape);
    }

    @Test
    void gemm() {
        Tensor a = tensor(new double[] {1, 2, 3, 4, 5, 6}, 2, 3);
        Tensor at = tensor(new double[] {1, 4, 2, 5, 3, 6}, 3, 2);
        Tensor b = tensor(new double[] {1, 0, 2, 1, -1, 3}, 3, 2);
        Tensor bt = tensor(new double[] {1, 2, -1, 0, 1, 3}, 2, 3);
        Tensor c = kernels.allocate(arena, 2, 2);
        double[] product = {2, 11, 8, 23};
        kernels.gemm(a, Transpose.NO, b, Transpose.NO, c, Write.OVERWRITE);
        assertArrayEquals(product, c.toDoubles());
        kernels.gemm(a, Transpose.NO, bt, Transpose.YES, c, Write.OVERWRITE);
        assertArrayEquals(product, c.toDoubles());
        kernels.gemm(at, Transpose.YES, b, Transpose.NO, c, Write.OVERWRITE);
        assertArrayEquals(product, c.toDoubles());
        kernels.gemm(at, Transpose.YES, bt, Transpose.YES, c, Write.ACCUMULATE);
        assertArrayEquals(new double[] {4, 22, 16, 46}, c.toDoubles());
    }

    @Test
    void rowsOfTables() {
        Tensor table = tensor(new double[] {1, 2, 3, 4, 5, 6}, 3, 2);
        Tensor y = kernels.allocate(arena, 2, 2);
        kernels.gather(table, new int[] {2, 0}, 2, y, Write.OVERWRITE);
        assertArrayEquals(new double[] {10, 12, 2, 4}, y.toDoubles());
        kernels.broadcast(table.select(0, 1), y, Write.ACCUMULATE);
        assertArrayEquals(new double[] {13, 16, 5, 8}, y.toDoubles());
        kernels.addScaled(-2, table.slice(0, 0, 2), y);
        assertArrayEquals(new double[] {11, 12, -1, 0}, y.toDoubles());
    }

    /** Row (2, 4, 6, 4): mean 4, variance 2, mean square 18; epsilon makes the squares of the divisors 4 and 25. */
    @Test
    void norms() {
        Tensor x = tensor(new double[] {2, 4, 6, 4}, 1, 4);
        Tensor gain = tensor(new double[] {1, 1, 2, 2}, 4);
        Tensor bias = tensor(new double[] {0, 0, 0, 7}, 4);
        Tensor y = kernels.allocate(arena, 1, 4);
        Tensor stats = kernels.allocate(arena, 1, 2);
        kernels.norm(x, new NormParameters(Kind.LAYER, 2, 0, gain, Optional.of(bias)), y, stats);
        assertArrayEquals(new double[] {-1, 0, 2, 7}, y.toDoubles(), TOLERANCE);
        assertArrayEquals(new double[] {4, 0.5}, stats.toDoubles(), TOLERANCE);
        kernels.norm(x, new NormParameters(Kind.RMS, 7, 1, gain, Optional.empty()), y, stats);
        assertArrayEquals(new double[] {0.8, 1.6, 3.6, 2.4}, y.toDoubles(), TOLERANCE);
        assertArrayEquals(new double[] {0, 0.2}, stats.toDoubles(), TOLERANCE);
    }

    /** A quarter turn takes (a, b) to (-b, a). */
    @Test
    void rotation() {
        Tensor cos = tensor(new double[] {1, 1, 0, 0}, 2, 2);
        Tensor sin = tensor(new double[] {0, 0, 1, 1}, 2, 2);
        for (RotaryStyle style : RotaryStyle.values()) {
            Tensor x = tensor(new double[] {1, 2, 3, 4, 5, 1, 2, 3, 4, 5}, 2, 1, 5);
            kernels.rotate(x, new int[] {1, 0}, cos, sin, style, false);
            double[] expected = style == RotaryStyle.HALF_SPLIT
                    ? new double[] {-3, -4, 1, 2, 5, 1, 2, 3, 4, 5}
                    : new double[] {-2, 1, -4, 3, 5, 1, 2, 3, 4, 5};
            assertArrayEquals(expected, x.toDoubles());
        }
    }

    /**
     * Two prompts; H 2, G 1, D 1. Queries are log 2 (head 0) and 0 (head 1), so with keys 0, 1, 2 the weights of head 0 go
     * as 1, 2, 4 and those of head 1 are equal.
     */
    @Test
    void attention() {
        double log2 = Math.log(2);
        Tensor q = tensor(new double[] {log2, 0, log2, 0, log2, 0, log2, 0}, 4, 2, 1);
        Tensor k = tensor(new double[] {0, 1, 2, 5}, 4, 1, 1);
        Tensor v = tensor(new double[] {21, 42, 84, -1}, 4, 1, 1);
        Segments segments = new Segments(3, 1);
        Tensor z = kernels.allocate(arena, 4, 2, 1);
        Tensor lse = kernels.allocate(arena, 4, 2);
        AttentionSpec all = new AttentionSpec(1, AttentionSpec.NO_WINDOW, AttentionSpec.NO_CAP);
        kernels.attention(q, k, v, all, segments, z, lse);
        assertArrayEquals(new double[] {21, 21, 35, 31.5, 63, 49, -1, -1}, z.toDoubles(), 1e-13);
        assertArrayEquals(
                new double[] {0, 0, Math.log(3), log2, Math.log(7), Math.log(3), 5 * log2, 0}, lse.toDoubles(), TOLERANCE);

        AttentionSpec two = new AttentionSpec(1, 2, AttentionSpec.NO_CAP);
        kernels.attention(q, k, v, two, segments, z, lse);
        assertArrayEquals(new double[] {21, 21, 35, 31.5, 70, 63, -1, -1}, z.toDoubles(), 1e-13);
        Tensor pattern = kernels.allocate(arena, 2, 3, 3);
        kernels.attentionPattern(new AttentionSaved(q, k, v, z, lse), two, segments, 0, pattern);
        assertArrayEquals(
                new double[] {1, 0, 0, 1 / 3.0, 2 / 3.0, 0, 0, 1 / 3.0, 2 / 3.0, 1, 0, 0, 0.5, 0.5, 0, 0, 0.5, 0.5},
                pattern.toDoubles(),
                TOLERANCE);
    }

    /** Heads 0 and 1 read group 0, heads 2 and 3 group 1; a cap c turns scores s into c tanh(s/c). */
    @Test
    void groupsAndSoftCap() {
        Tensor q = tensor(new double[] {1, 1, 1, 1}, 1, 4, 1);
        Tensor k = tensor(new double[] {6, -1e6}, 1, 2, 1);
        Tensor v = tensor(new double[] {3, 8}, 1, 2, 1);
        Tensor z = kernels.allocate(arena, 1, 4, 1);
        Tensor lse = kernels.allocate(arena, 1, 4);
        kernels.attention(q, k, v, new AttentionSpec(0.5, 9, 2), new Segments(1), z, lse);
        assertArrayEquals(new double[] {3, 3, 8, 8}, z.toDoubles());
        double capped = 2 * Math.tanh(1.5);
        assertArrayEquals(new double[] {capped, capped, -2, -2}, lse.toDoubles(), TOLERANCE);
    }
}

package obsprop.kernel;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.util.Random;
import obsprop.kernel.TestBed.Operand;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;
import obsprop.testing.Measured;
import obsprop.testing.Tensors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Contract tests of memory: allocate, place, copy, zero. */
@SuppressWarnings("exports")
public interface MemoryContract extends KernelsUnderTest {
    @Test
    default void describesItselfInOneLine() {
        assertFalse(kernels().describe().isBlank());
        assertFalse(kernels().describe().contains("\n"));
    }

    @Test
    default void allocatesZeros() {
        try (Arena arena = Arena.ofShared()) {
            Tensor tensor = kernels().allocate(arena, 3, 5, 7);
            Tensor host = Tensor.allocate(arena, kernels().activationType(), 3, 5, 7);
            Tensors.fill(host, () -> Double.NaN);
            kernels().copy(tensor, host);
            assertEquals(kernels().activationType(), tensor.dtype());
            assertTrue(tensor.isContiguous());
            assertArrayEquals(new double[105], host.toDoubles());
        }
    }

    @ParameterizedTest
    @EnumSource(
            value = DType.class,
            names = {"F64", "F32", "F16", "BF16"})
    default void copiesBetweenTypesRoundingToEven(DType type) {
        try (Arena arena = Arena.ofShared()) {
            Tensor exact = Tensors.random(arena, DType.F32, new Random(3), 100, 5, 13);
            Tensor inside = kernels().allocate(arena, 5, 13);
            Tensor rounded = Tensor.allocate(arena, type, 5, 13);
            kernels().copy(exact, inside);
            kernels().copy(inside, rounded);
            Tensor expected = Tensor.allocate(arena, type, 5, 13);
            int[] next = {0};
            double[] values = exact.toDoubles();
            Tensors.fill(expected, () -> values[next[0]++]);
            assertArrayEquals(expected.toDoubles(), rounded.toDoubles(), "to " + type);

            kernels().zero(inside);
            kernels().copy(rounded, inside);
            Tensor back = Tensor.allocate(arena, kernels().activationType(), 5, 13);
            kernels().copy(inside, back);
            assertArrayEquals(expected.toDoubles(), back.toDoubles(), "from " + type);
        }
    }

    @ParameterizedTest
    @EnumSource
    default void copiesAndZeroesViews(Layout layout) {
        int[][] shapes = {{1}, {65}, {1, 1}, {3, 207}, {13, 7}, {3, 2, 13}, {2, 5, 64}};
        try (Measured measured = new Measured("copy and zero " + layout)) {
            for (int[] shape : shapes) {
                try (TestBed bed = new TestBed(kernels(), layout, measured)) {
                    Operand from = bed.input(1, shape);
                    Operand to = bed.output(Write.OVERWRITE, shape);
                    bed.both(s -> s.kernels().copy(s.of(from), s.of(to)));
                    bed.check("copy", to, 0);
                    bed.both(s -> s.kernels().zero(s.of(to)));
                    bed.check("zero", to, 0);
                }
            }
        }
    }
}

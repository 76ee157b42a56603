package obsprop.kernel;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.util.Random;
import obsprop.kernel.TestBed.Operand;
import obsprop.kernel.cpu.CpuKernels;
import obsprop.kernel.cpu.WarmKernels;
import obsprop.tensor.DType;
import obsprop.tensor.Place;
import obsprop.tensor.Tensor;
import obsprop.testing.Measured;
import obsprop.testing.Tolerance;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Products with weights too large for the small products' way, as many rows as each other way takes and one more: what the
 * sizes of {@link DenseContract} do not reach.
 */
final class CpuProductsTest {
    /** A weight's axes: above 2^18 elements, several blocks of k and panels of columns, both ragged. */
    private static final int WIDE = 300;

    private static final int DEEP = 1031;
    private static final CpuKernels KERNELS = WarmKernels.create(2);

    @AfterAll
    static void close() {
        KERNELS.close();
    }

    @ParameterizedTest
    @EnumSource(names = {"F32", "BF16", "F16"})
    void fewRows(DType type) {
        for (int rows : type == DType.F32 ? new int[] {1, 7, 16, 17, 33, 41} : new int[] {7, 17, 41}) {
            multiply(type, rows, Layout.STRIDED, Write.OVERWRITE);
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {130, 350, 1500})
    void manyRows(int rows) {
        multiply(DType.F32, rows, Layout.CONTIGUOUS, Write.ACCUMULATE);
    }

    /** Rows so long that they make several strips, the last a ragged one. */
    @ParameterizedTest
    @EnumSource(names = {"F32", "BF16"})
    void longRows(DType type) {
        for (int rows : new int[] {2, 5, 16}) {
            multiply(type, rows, 230, 2480, Layout.CONTIGUOUS, Write.ACCUMULATE);
        }
    }

    /** Without rows or columns there is nothing to do, and without k a sum is zero, or what was there. */
    @ParameterizedTest
    @CsvSource({"3, 0, 5", "0, 4, 5", "40, 0, 5", "3, 4, 0", "40, 7, 0"})
    void empty(int m, int n, int k) {
        try (Arena arena = Arena.ofShared()) {
            for (Transpose tb : Transpose.values()) {
                Tensor a = KERNELS.allocate(arena, m, k);
                Tensor b = tb == Transpose.NO ? KERNELS.allocate(arena, k, n) : KERNELS.allocate(arena, n, k);
                Tensor c = KERNELS.allocate(arena, m, n);
                for (Write write : Write.values()) {
                    if (m * n > 0) {
                        c.set(2, 0, 0);
                    }
                    KERNELS.gemm(a, Transpose.NO, b, tb, c, write);
                    if (m * n > 0) {
                        assertEquals(write == Write.ACCUMULATE ? 2 : 0, c.get(0, 0));
                    }
                }
            }
        }
    }

    /** Each head's part of a sum over heads, and products that are left to others. */
    @ParameterizedTest
    @EnumSource(names = {"F32", "BF16", "F16"})
    void heads(DType type) {
        for (Layout layout : Layout.values()) {
            assertEquals(true, heads(type, layout, 16, 64, 300));
            assertEquals(true, heads(type, layout, 2, 128, 1031));
            assertEquals(true, heads(type, layout, 8, 192, 300));
            assertEquals(false, heads(type, layout, 16, 40, 500));
            assertEquals(false, heads(type, layout, 2, 64, 300));
        }
    }

    private static boolean heads(DType type, Layout layout, int heads, int width, int n) {
        boolean[] served = new boolean[1];
        try (Measured measured = new Measured("heads " + type + " " + layout);
                TestBed bed = new TestBed(KERNELS, layout, measured)) {
            Operand x = bed.input(1, 1, heads * width);
            Operand w = bed.weight(type, 1, n, heads * width);
            Operand y = bed.output(Write.OVERWRITE, heads, n);
            bed.both(s -> {
                boolean done = s.kernels().headProducts(s.of(x), s.of(w), s.of(y));
                served[0] |= done;
                for (int h = 0; h < heads && !done; h++) {
                    s.kernels().gemm(s.of(x).slice(1, h * width, (h + 1) * width), Transpose.NO,
                            s.of(w).slice(1, h * width, (h + 1) * width), Transpose.YES, s.of(y).slice(0, h, h + 1), Write.OVERWRITE);
                }
            });
            bed.check("heads " + heads + " of " + width, y, Tolerance.ofRandomSum(DType.F32, width, 1));
        }
        return served[0];
    }

    private static void multiply(DType type, int rows, Layout layout, Write write) {
        multiply(type, rows, DEEP, WIDE, layout, write);
    }

    private static void multiply(DType type, int rows, int deep, int wide, Layout layout, Write write) {
        double tolerance = Tolerance.ofRandomSum(KERNELS.activationType(), deep, 1);
        for (Transpose transpose : Transpose.values()) {
            String what = "gemm of " + rows + " rows, " + type + " " + transpose;
            try (Measured measured = new Measured(what);
                    TestBed bed = new TestBed(KERNELS, layout, measured)) {
                Operand a = bed.input(1, rows, deep);
                Operand b = bed.weight(type, 1, transpose == Transpose.NO ? new int[] {deep, wide} : new int[] {wide, deep});
                Operand c = bed.output(write, rows, wide);
                bed.both(s -> s.kernels().gemm(s.of(a), Transpose.NO, s.of(b), transpose, s.of(c), write));
                bed.check(what, c, tolerance);
            }
        }
    }

    /** Whichever way the number of rows leads, a row's sum has one order, and is added to what was there as a whole. */
    @ParameterizedTest
    @EnumSource
    void aRowDoesNotDependOnThoseBesideIt(Transpose transpose) {
        try (Measured measured = new Measured("gemm of one row and of many");
                TestBed bed = new TestBed(KERNELS, Layout.CONTIGUOUS, measured)) {
            Operand a = bed.input(1, 207, DEEP);
            Operand b = bed.weight(DType.F32, 1, transpose == Transpose.NO ? new int[] {DEEP, WIDE} : new int[] {WIDE, DEEP});
            Operand together = bed.output(Write.OVERWRITE, 207, WIDE);
            Operand inParts = bed.output(Write.OVERWRITE, 207, WIDE);
            for (Write write : new Write[] {Write.OVERWRITE, Write.ACCUMULATE}) {
                bed.both(s -> s.kernels().gemm(s.of(a), Transpose.NO, s.of(b), transpose, s.of(together), write));
                int from = 0;
                for (int rows : new int[] {1, 15, 17, 33, 41, 100}) {
                    Operand part = a.rows(from, from + rows);
                    Operand out = inParts.rows(from, from + rows);
                    bed.tested(s -> s.kernels().gemm(s.of(part), Transpose.NO, s.of(b), transpose, s.of(out), write));
                    from += rows;
                }
                bed.same("rows, " + write, together, inParts);
                bed.check("all rows, " + write, together, Tolerance.ofRandomSum(KERNELS.activationType(), write == Write.OVERWRITE ? DEEP : 2 * DEEP, 1));
            }
        }
    }

    /**
     * Weights of BF16 are widened ahead, by pairs, in registers or in scratch, all of which is exact. Sizes of k: one block; blocks that end
     * raggedly; rows of which pieces cross the end; more than fits beside its activations, in one run and not; an odd one; rows of several strips.
     */
    @ParameterizedTest
    @CsvSource({"512, 48", "768, 96", "1000, 52", "4104, 48", "6144, 48", "5000, 48", "8192, 52", "1031, 50", "512, 1200", "264, 2480", "620, 1102"})
    void bf16GivesTheBitsOfTheSameWeightsInF32(int deep, int wide) {
        Random random = new Random(deep);
        try (Arena arena = Arena.ofShared()) {
            Tensor narrow = Tensor.allocate(arena, DType.BF16, deep * wide);
            Tensor full = Tensor.allocate(arena, DType.F32, deep * wide);
            for (int i = 0; i < deep * wide; i++) {
                short bits = Tensor.floatToBf16((float) random.nextGaussian());
                narrow.segment().setAtIndex(ValueLayout.JAVA_SHORT, i, bits);
                full.segment().setAtIndex(ValueLayout.JAVA_FLOAT, i, Float.intBitsToFloat(bits << 16));
            }
            for (int rows : new int[] {1, 3, 10, 11, 16, 17, 33, 64}) {
                Tensor x = Tensor.allocate(arena, DType.F32, rows, deep);
                for (int i = 0; i < rows * deep; i++) {
                    x.segment().setAtIndex(ValueLayout.JAVA_FLOAT, i, (float) random.nextGaussian());
                }
                for (Transpose transpose : Transpose.values()) {
                    int[] shape = transpose == Transpose.NO ? new int[] {deep, wide} : new int[] {wide, deep};
                    for (Write write : Write.values()) {
                        assertArrayEquals(product(arena, x, full, shape, transpose, write), product(arena, x, narrow, shape, transpose, write),
                                rows + " rows, " + transpose + ", " + write);
                    }
                }
            }
        }
    }

    private static float[] product(Arena arena, Tensor x, Tensor weight, int[] shape, Transpose transpose, Write write) {
        Tensor w = Tensor.of(weight.segment(), weight.dtype(), Place.HOST, shape);
        int wide = shape[transpose == Transpose.NO ? 1 : 0];
        Tensor y = Tensor.allocate(arena, DType.F32, x.size(0), wide);
        y.segment().fill((byte) 0x3f);
        KERNELS.gemm(x, Transpose.NO, w, transpose, y, write);
        return y.segment().toArray(ValueLayout.JAVA_FLOAT);
    }
}

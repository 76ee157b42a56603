package obsprop.kernel;

import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.Optional;
import java.util.Random;
import obsprop.kernel.TestBed.Operand;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;
import obsprop.testing.Measured;
import obsprop.testing.Tolerance;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Contract tests of products and tables. */
@SuppressWarnings("exports")
public interface DenseContract extends KernelsUnderTest {
    /** m, n, k: rows, columns, length of the sums. */
    int[][] PRODUCTS = {
        {1, 1, 1}, {1, 7, 13}, {1, 207, 64}, {3, 1, 7}, {7, 13, 1}, {13, 65, 3}, {64, 64, 64}, {65, 7, 207}, {130, 5, 33},
        {7, 19, 1031}, {11, 130, 600}, {1, 256, 40}, {9, 25, 1100}, {33, 10, 2050}, {21, 700, 600},
        {33, 48, 574}, {135, 140, 570}
    };

    @ParameterizedTest
    @EnumSource
    default void gemm(Layout layout) {
        for (DType type : WEIGHT_TYPES) {
            try (Measured measured = new Measured("gemm " + type + " " + layout)) {
                for (int[] size : PRODUCTS) {
                    for (Write write : Write.values()) {
                        gemm(measured, layout, type, write, size);
                    }
                }
            }
        }
    }

    private void gemm(Measured measured, Layout layout, DType type, Write write, int[] size) {
        int m = size[0];
        int n = size[1];
        int k = size[2];
        double tolerance = Tolerance.ofRandomSum(kernels().activationType(), k, 1);
        for (Transpose ta : Transpose.values()) {
            for (Transpose tb : Transpose.values()) {
                try (TestBed bed = new TestBed(kernels(), layout, measured)) {
                    Operand a = bed.input(1, ta == Transpose.NO ? new int[] {m, k} : new int[] {k, m});
                    Operand b = bed.weight(type, 1, tb == Transpose.NO ? new int[] {k, n} : new int[] {n, k});
                    Operand c = bed.output(write, m, n);
                    bed.both(s -> s.kernels().gemm(s.of(a), ta, s.of(b), tb, s.of(c), write));
                    bed.check("m " + m + " n " + n + " k " + k + " " + ta + " " + tb + " " + write, c, tolerance);
                }
            }
        }
    }

    /** A transposed copy holds the same numbers, where a backend makes one. */
    @ParameterizedTest
    @EnumSource
    default void transposed(Layout layout) {
        for (DType type : WEIGHT_TYPES) {
            try (Measured measured = new Measured("transposed " + type + " " + layout);
                    TestBed bed = new TestBed(kernels(), layout, measured)) {
                Operand w = bed.weight(type, 1, 13, 70);
                Operand x = bed.input(1, 7, 70);
                Operand y = bed.output(Write.OVERWRITE, 7, 13);
                bed.both(s -> {
                    try (Arena arena = Arena.ofShared()) {
                        Optional<Tensor> copy = s.kernels().transposed(arena, s.of(w));
                        Transpose how = copy.isPresent() ? Transpose.NO : Transpose.YES;
                        s.kernels().gemm(s.of(x), Transpose.NO, copy.orElse(s.of(w)), how, s.of(y), Write.OVERWRITE);
                    }
                });
                bed.check("transposed", y, bed.tolerance(70, 70 / 4.0));
            }
        }
    }

    /** The first operand may be the weight, and a weight may be a view when it is placed. */
    @ParameterizedTest
    @EnumSource
    default void gemmWithWeightFirst(Layout layout) {
        for (DType type : WEIGHT_TYPES) {
            try (Measured measured = new Measured("gemm, weight first, " + type + " " + layout)) {
                for (Transpose ta : Transpose.values()) {
                    for (Transpose tb : Transpose.values()) {
                        try (TestBed bed = new TestBed(kernels(), layout, measured)) {
                            Operand a = bed.placedView(type, 1, ta == Transpose.NO ? new int[] {13, 70} : new int[] {70, 13});
                            Operand b = bed.input(1, tb == Transpose.NO ? new int[] {70, 7} : new int[] {7, 70});
                            Operand c = bed.output(Write.OVERWRITE, 13, 7);
                            bed.both(s -> s.kernels().gemm(s.of(a), ta, s.of(b), tb, s.of(c), Write.OVERWRITE));
                            bed.check(ta + " " + tb, c, bed.tolerance(70, 70 / 4.0));
                        }
                    }
                }
            }
        }
    }

    /** A row's product does not depend on the rows beside it, to the bit where {@link #rowsAreIndependent}. */
    @ParameterizedTest
    @EnumSource
    default void gemmOfCotangentsAtOnceIsOneByOne(Layout layout) {
        try (Measured measured = new Measured("gemm, K at once " + layout)) {
            for (int rows : new int[] {1, 7, 16, 27}) {
                for (DType type : new DType[] {DType.F32, DType.BF16}) {
                    for (Transpose tb : Transpose.values()) {
                        cotangentsAtOnce(measured, layout, type, rows, 40, 65, tb);
                        cotangentsAtOnce(measured, layout, type, rows, 520, 600, tb);
                    }
                }
            }
        }
    }

    private void cotangentsAtOnce(Measured measured, Layout layout, DType type, int rows, int cols, int k, Transpose tb) {
        try (TestBed bed = new TestBed(kernels(), layout, measured)) {
            int cotangents = 5;
            Operand a = bed.input(1, cotangents * rows, k);
            Operand b = bed.weight(type, 1, tb == Transpose.NO ? new int[] {k, cols} : new int[] {cols, k});
            Operand atOnce = bed.output(Write.OVERWRITE, cotangents * rows, cols);
            Operand oneByOne = bed.output(Write.OVERWRITE, cotangents * rows, cols);
            bed.both(s -> s.kernels().gemm(s.of(a), Transpose.NO, s.of(b), tb, s.of(atOnce), Write.OVERWRITE));
            for (int c = 0; c < cotangents; c++) {
                Operand part = a.rows(c * rows, (c + 1) * rows);
                Operand out = oneByOne.rows(c * rows, (c + 1) * rows);
                bed.tested(s -> s.kernels().gemm(s.of(part), Transpose.NO, s.of(b), tb, s.of(out), Write.OVERWRITE));
            }
            String what = type + " " + tb + " gemm of " + rows + " rows, " + cols + " columns";
            double tolerance = bed.tolerance(k, k / 4.0);
            bed.same(what, atOnce, oneByOne, rowsAreIndependent(), tolerance);
            bed.check(what + " at once", atOnce, tolerance);
        }
    }

    /** A backend may do it in one pass: on sizes where it may and where it may not. */
    @ParameterizedTest
    @EnumSource
    default void linearMaps(Layout layout) {
        for (DType type : WEIGHT_TYPES) {
            try (Measured measured = new Measured("linear, " + type + " " + layout)) {
                for (int[] size : new int[][] {{1, 1, 1}, {3, 8, 16}, {7, 13, 5}, {16, 64, 40}, {20, 200, 33}, {135, 50, 7}, {5, 50, 1104}}) {
                    for (Transpose t : Transpose.values()) {
                        linear(measured, layout, type, t, size);
                    }
                }
            }
        }
    }

    private void linear(Measured measured, Layout layout, DType type, Transpose t, int[] size) {
        for (Write write : Write.values()) {
            for (boolean biased : new boolean[] {true, false}) {
                try (TestBed bed = new TestBed(kernels(), layout, measured)) {
                    Operand x = bed.input(1, size[0], size[2]);
                    Operand w = bed.weight(type, 1, weight(t, size[2], size[1]));
                    Operand b = bed.weight(type, 1, size[1]);
                    Operand y = bed.output(write, size[0], size[1]);
                    bed.both(s -> s.kernels().linear(s.of(x), s.of(w), t, biased ? Optional.of(s.of(b)) : Optional.empty(),
                            s.of(y), write));
                    bed.check("linear " + Arrays.toString(size) + " " + t + " " + write + " " + biased, y,
                            bed.tolerance(size[2] + 1, (size[2] + 1) / 2.0));
                }
            }
        }
    }

    private static int[] weight(Transpose t, int k, int n) {
        return t == Transpose.NO ? new int[] {k, n} : new int[] {n, k};
    }

    @ParameterizedTest
    @EnumSource
    default void broadcastAndAddScaled(Layout layout) {
        try (Measured measured = new Measured("broadcast, addScaled " + layout)) {
            for (int n : WIDTHS) {
                for (Write write : Write.values()) {
                    try (TestBed bed = new TestBed(kernels(), layout, measured)) {
                        Operand row = bed.weight(DType.BF16, 1, n);
                        Operand y = bed.output(write, 5, n);
                        bed.both(s -> s.kernels().broadcast(s.of(row), s.of(y), write));
                        bed.check("broadcast n " + n, y, write == Write.OVERWRITE ? 0 : bed.tolerance(1, 1));
                    }
                }
                for (int[] shape : new int[][] {{n}, {3, n}, {3, 2, n}}) {
                    try (TestBed bed = new TestBed(kernels(), layout, measured)) {
                        Operand x = bed.input(1, shape);
                        Operand y = bed.inPlace(1, shape);
                        bed.both(s -> s.kernels().addScaled(-1.75, s.of(x), s.of(y)));
                        bed.check("addScaled n " + n + " rank " + shape.length, y, bed.tolerance(1, 1));
                    }
                }
            }
        }
    }

    @ParameterizedTest
    @EnumSource
    default void gather(Layout layout) {
        for (DType type : WEIGHT_TYPES) {
            try (Measured measured = new Measured("gather " + type + " " + layout)) {
                for (int n : WIDTHS) {
                    for (Write write : Write.values()) {
                        try (TestBed bed = new TestBed(kernels(), layout, measured)) {
                            int[] ids = new Random(n).ints(9, 0, 6).toArray();
                            Operand table = bed.weight(type, 1, 6, n);
                            Operand y = bed.output(write, ids.length, n);
                            bed.both(s -> s.kernels().gather(s.of(table), ids, 1.3, s.of(y), write));
                            bed.check("n " + n + " " + write, y, bed.tolerance(1, 1));
                        }
                    }
                }
            }
        }
    }
}

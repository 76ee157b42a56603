package obsprop.kernel;

import java.util.Arrays;
import java.util.Optional;
import java.util.Random;
import java.util.function.DoubleSupplier;
import java.util.function.IntToDoubleFunction;
import obsprop.kernel.NormParameters.Kind;
import obsprop.kernel.TestBed.Operand;
import obsprop.kernel.TestBed.Side;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;
import obsprop.testing.Measured;
import obsprop.testing.Tensors;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Contract tests of normalisation. */
@SuppressWarnings("exports")
public interface NormContract extends KernelsUnderTest {
    double EPSILON = 1e-5;

    /** A norm's parameters on both sides; without bias for RMS. */
    record Norm(Kind kind, double gainOffset, Operand gain, Operand bias) {
        NormParameters on(Side side) {
            Optional<Tensor> b = kind == Kind.LAYER ? Optional.of(side.of(bias)) : Optional.empty();
            return new NormParameters(kind, EPSILON, gainOffset, side.of(gain), b);
        }

        static Norm random(TestBed bed, Kind kind, DType type, int n) {
            return new Norm(kind, kind == Kind.RMS ? 1 : 0, bed.weight(type, 1, n), bed.weight(type, 1, n));
        }
    }

    /** Rows as in [N,n] and [N,H,n]. */
    static int[][] shapes(int rows, int n) {
        return new int[][] {{rows, n}, {rows, 2, n}};
    }

    static int[] statsShape(int[] shape) {
        int[] stats = shape.clone();
        stats[stats.length - 1] = 2;
        return stats;
    }

    static int[] times(int cotangents, int[] shape) {
        int[] out = shape.clone();
        out[0] *= cotangents;
        return out;
    }

    /** What the tolerances need to know of the rows of x, each of n elements. */
    record Rows(int n, double[] x, double[] stats) {
        static Rows of(Operand x, Operand stats) {
            int n = x.expected().size(x.expected().rank() - 1);
            return new Rows(n, x.expected().toDoubles(), stats.expected().toDoubles());
        }

        /** The row that element i of x, or of one of the cotangents of x, belongs to. */
        int row(int i) {
            return i % x.length / n;
        }

        double rstd(int row) {
            return stats[2 * row + 1];
        }

        /**
         * {@code max |x| * rstd}, at least 1: by this a rounding of x or of the mean grows in {@code (x - mean) * rstd}.
         * It is the square of this that {@code E[x^2] - mean^2} would suffer.
         */
        double condition(int row) {
            double largest = 0;
            for (int i = row * n; i < (row + 1) * n; i++) {
                largest = Math.max(largest, Math.abs(x[i]));
            }
            return Math.max(1, largest * rstd(row));
        }

        /** {@code sqrt(n) / ||x||}. */
        double paperFactor(int row) {
            double square = 0;
            for (int i = row * n; i < (row + 1) * n; i++) {
                square += x[i] * x[i];
            }
            return Math.sqrt(n / square);
        }
    }

    @ParameterizedTest
    @EnumSource
    default void norm(Layout layout) {
        for (Kind kind : Kind.values()) {
            try (Measured measured = new Measured("norm " + kind + " " + layout)) {
                for (int n : WIDTHS) {
                    for (int[] shape : shapes(5, n)) {
                        for (double offset : new double[] {0, 100}) {
                            norm(new TestBed(kernels(), layout, measured), kind, offset, shape);
                        }
                    }
                }
            }
        }
    }

    /** Into another tensor and in place. */
    private void norm(TestBed bed, Kind kind, double offset, int[] shape) {
        try (bed) {
            int n = shape[shape.length - 1];
            Norm norm = Norm.random(bed, kind, WEIGHT_TYPES[n % 3], n);
            Operand x = bed.input(values(offset, shape), shape);
            Operand inPlace = bed.inPlace(values(offset, shape), shape);
            Operand y = bed.output(Write.OVERWRITE, shape);
            Operand stats = bed.output(Write.OVERWRITE, statsShape(shape));
            Operand again = bed.output(Write.OVERWRITE, statsShape(shape));
            bed.both(s -> {
                s.kernels().norm(s.of(x), norm.on(s), s.of(y), s.of(stats));
                s.kernels().norm(s.of(inPlace), norm.on(s), s.of(inPlace), s.of(again));
            });
            Rows rows = Rows.of(x, stats);
            String context = "n " + n + " rank " + shape.length + " offset " + offset;
            double gain = Tensors.largest(norm.gain().expected()) + norm.gainOffset();
            double[] values = y.expected().toDoubles();
            bed.check(
                    context,
                    y,
                    i -> bed.tolerance(n, rows.condition(rows.row(i)) * (gain + Math.abs(values[i]))));
            bed.check(
                    context + " stats",
                    stats,
                    i -> bed.tolerance(n, rows.condition(i / 2) * (i % 2 == 0 ? 1 / rows.rstd(i / 2) : rows.rstd(i / 2))));
            bed.same(context + " in place", y, inPlace);
            bed.same(context + " in place, stats", stats, again);
        }
    }

    /** Random numbers about {@code offset}; of the last row all are zero. */
    private static DoubleSupplier values(double offset, int[] shape) {
        Random random = new Random(shape.length);
        int size = Arrays.stream(shape).reduce(1, Math::multiplyExact);
        int firstZero = size - size / shape[0];
        int[] next = {0};
        return () -> next[0]++ < firstZero ? offset + 2 * random.nextDouble() - 1 : 0;
    }

    @ParameterizedTest
    @EnumSource
    default void normVjp(Layout layout) {
        for (NormRule rule : NormRule.values()) {
            try (Measured measured = new Measured("normVjp " + rule + " " + layout)) {
                for (Kind kind : Kind.values()) {
                    for (int n : WIDTHS) {
                        for (int[] shape : shapes(3, n)) {
                            for (int cotangents : COTANGENTS) {
                                normVjp(new TestBed(kernels(), layout, measured), kind, rule, cotangents, shape);
                            }
                        }
                    }
                }
            }
        }
    }

    private void normVjp(TestBed bed, Kind kind, NormRule rule, int cotangents, int[] shape) {
        try (bed) {
            int n = shape[shape.length - 1];
            int[] many = times(cotangents, shape);
            Norm norm = Norm.random(bed, kind, WEIGHT_TYPES[n % 3], n);
            Operand x = bed.input(1, shape);
            Operand y = bed.output(Write.OVERWRITE, shape);
            Operand stats = bed.output(Write.OVERWRITE, statsShape(shape));
            bed.both(s -> s.kernels().norm(s.of(x), norm.on(s), s.of(y), s.of(stats)));

            Operand dy = bed.input(1, many);
            Operand over = bed.output(Write.OVERWRITE, many);
            Operand sum = bed.output(Write.ACCUMULATE, many);
            Operand oneByOne = bed.output(Write.OVERWRITE, many);
            Operand inPlace = bed.output(Write.OVERWRITE, many);
            bed.both(s -> {
                s.kernels().normVjp(s.of(dy), s.of(x), s.of(stats), norm.on(s), rule, s.of(over), Write.OVERWRITE);
                s.kernels().normVjp(s.of(dy), s.of(x), s.of(stats), norm.on(s), rule, s.of(sum), Write.ACCUMULATE);
            });
            bed.tested(s -> {
                s.kernels().copy(s.of(dy), s.of(inPlace));
                s.kernels().normVjp(s.of(inPlace), s.of(x), s.of(stats), norm.on(s), rule, s.of(inPlace), Write.OVERWRITE);
            });
            for (int c = 0; c < cotangents; c++) {
                Operand in = dy.rows(c * shape[0], (c + 1) * shape[0]);
                Operand out = oneByOne.rows(c * shape[0], (c + 1) * shape[0]);
                bed.tested(s -> s.kernels()
                        .normVjp(s.of(in), s.of(x), s.of(stats), norm.on(s), rule, s.of(out), Write.OVERWRITE));
            }
            Rows rows = Rows.of(x, stats);
            IntToDoubleFunction tolerance = i -> bed.tolerance(n, vjpMagnitude(norm, rule, rows, rows.row(i)));
            String context = kind + " n " + n + " rank " + shape.length + " K " + cotangents;
            bed.check(context, over, tolerance);
            bed.check(context + " accumulated", sum, i -> tolerance.applyAsDouble(i) + bed.tolerance(1, 1));
            bed.same(context + " one by one", over, oneByOne);
            bed.same(context + " in place", over, inPlace);
        }
    }

    /** Of the terms of dx in a row, with dy within 1, for instance {@code rstd g xh (xh . dy) / n}. */
    private static double vjpMagnitude(Norm norm, NormRule rule, Rows rows, int row) {
        double gain = Tensors.largest(norm.gain().expected()) + norm.gainOffset();
        double condition = rows.condition(row);
        return switch (rule) {
            case EXACT -> rows.rstd(row) * gain * condition * (2 + condition * condition);
            case FROZEN -> rows.rstd(row) * gain * condition;
            case PAPER -> gain * rows.paperFactor(row);
            case WEIGHT_ONLY -> gain;
            case NONE -> 0;
        };
    }
}

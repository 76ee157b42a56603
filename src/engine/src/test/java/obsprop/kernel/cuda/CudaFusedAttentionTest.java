package obsprop.kernel.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.function.DoubleSupplier;
import java.util.function.DoubleUnaryOperator;
import java.util.stream.Stream;
import obsprop.cuda.CudaPrecision;
import obsprop.cuda.emulator.TestDevice;
import obsprop.kernel.AttentionRule;
import obsprop.kernel.AttentionSpec;
import obsprop.kernel.Kernels;
import obsprop.kernel.Kernels.AttentionCotangents;
import obsprop.kernel.Kernels.AttentionSaved;
import obsprop.kernel.Segments;
import obsprop.kernel.scalar.ScalarKernels;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;
import obsprop.testing.Measured;
import obsprop.testing.Tensors;
import obsprop.testing.Tolerance;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Attention on tensor cores against the scalar kernels in double. Mostly with operands that both precisions hold exactly: then
 * scores are as good as in fp32, and only the pattern and its cotangent are rounded, by u at most, before they are multiplied.
 */
class CudaFusedAttentionTest {
    /** Steps of the operands that bfloat16 holds: 8 bits. */
    private static final double STEP = 1.0 / 64;
    /** Where rows begin in their buffers. */
    private static final int ALIGNED = 4;

    /** A ragged batch, H heads in G groups of width D, the magnitude of queries and keys, and K. */
    record Shape(int heads, int groups, int width, AttentionSpec spec, double magnitude, int cotangents, int... lengths) {
        Segments segments() {
            return new Segments(lengths);
        }

        int rows() {
            return segments().rows();
        }

        /** A bound on products of two uniform rows of width D: four times their spread, D/9 squared. */
        double dot() {
            return 4 * Math.sqrt(width) / 3;
        }

        double scores() {
            return Math.abs(spec.scale()) * dot() * magnitude * magnitude;
        }

        @Override
        public String toString() {
            return Arrays.toString(lengths) + " H " + heads + " G " + groups + " D " + width + " K " + cotangents + " " + spec;
        }
    }

    /** What is tested of one precision. */
    record Case(CudaPrecision precision, Shape shape) {
        /** Unit roundoff of the operands. */
        double roundoff() {
            return switch (precision) {
                case FP32 -> Tolerance.roundoff(DType.F32);
                case TF32 -> 0x1p-11;
                case BF16 -> Tolerance.roundoff(DType.BF16);
            };
        }

        /** What fp32 adds where all else is exact. */
        double single(double magnitude) {
            return Float.MIN_NORMAL
                    + Tolerance.of(DType.F32, Math.max(shape.width, shape.segments().longest()), magnitude * (1 + shape.scores()));
        }

        @Override
        public String toString() {
            return precision + " " + shape;
        }
    }

    private static AttentionSpec plain(int width) {
        return new AttentionSpec(1 / Math.sqrt(width), AttentionSpec.NO_WINDOW, AttentionSpec.NO_CAP);
    }

    /** Lengths around the borders of blocks and of what a warp owns. */
    private static final int[] RAGGED = {1, 15, 16, 17, 63, 64, 65, 130, 207};

    private static Stream<Shape> shapes(int width) {
        return Stream.of(
                new Shape(1, 1, width, plain(width), 2, 1, RAGGED),
                new Shape(4, 2, width, plain(width), 2, 3, 65),
                new Shape(2, 1, width, new AttentionSpec(0.1, 20, AttentionSpec.NO_CAP), 2, 1, 130, 33),
                new Shape(1, 1, width, new AttentionSpec(0.1, 64, 3), 2, 1, 150),
                new Shape(1, 1, width, new AttentionSpec(0.2, AttentionSpec.NO_WINDOW, 4), 2, 2, 97),
                new Shape(1, 1, width, new AttentionSpec(1, AttentionSpec.NO_WINDOW, AttentionSpec.NO_CAP), 64, 1, 80),
                new Shape(1, 1, width, new AttentionSpec(-1 / 16.0, 1, AttentionSpec.NO_CAP), 2, 1, 70));
    }

    static List<Case> cases() {
        return Stream.of(CudaPrecision.TF32, CudaPrecision.BF16)
                .flatMap(p -> Stream.of(64, 128).flatMap(CudaFusedAttentionTest::shapes).map(s -> new Case(p, s)))
                .toList();
    }

    /** One tensor, twice: for the oracle, and as a view of a buffer on the device whose margins hold NaN. */
    private record Operand(Tensor exact, Tensor buffer, Tensor view) {}

    /** The operands of attention and its VJP for one shape, and both sides' results. */
    private static final class Bed implements AutoCloseable {
        private static final int MARGIN = 8;
        private final CudaUnderTest cuda;
        private final Kernels oracle = ScalarKernels.float64();
        private final Arena arena = Arena.ofShared();
        private final Shape shape;
        private final int offset;
        final Operand q;
        final Operand k;
        final Operand v;
        final Operand dz;
        final Operand z;
        final Operand lse;
        final Operand dq;
        final Operand dk;
        final Operand dv;

        /** @param offset of rows in their buffers, a multiple of four if they shall be aligned */
        Bed(CudaPrecision precision, Shape shape, double step, int offset) {
            this.shape = shape;
            this.offset = offset;
            cuda = CudaUnderTest.open(precision);
            Random random = new Random(11);
            int n = shape.rows();
            int all = shape.cotangents * n;
            q = heads(uniform(random, shape.magnitude, step), n, shape.heads);
            k = heads(uniform(random, shape.magnitude, step), n, shape.groups);
            v = heads(uniform(random, 1, step), n, shape.groups);
            dz = heads(uniform(random, 1, step), all, shape.heads);
            z = heads(() -> Double.NaN, n, shape.heads);
            lse = operand(() -> Double.NaN, n, shape.heads);
            dq = heads(() -> Double.NaN, all, shape.heads);
            dk = heads(() -> Double.NaN, all, shape.groups);
            dv = heads(() -> Double.NaN, all, shape.groups);
        }

        /** In [-magnitude, magnitude]; multiples of {@code step * magnitude}, or with step 0 as they come. */
        private static DoubleSupplier uniform(Random random, double magnitude, double step) {
            return () -> {
                double x = 2 * random.nextDouble() - 1;
                return magnitude * (step == 0 ? (float) x : Math.rint(x / step) * step);
            };
        }

        private Operand heads(DoubleSupplier values, int n, int heads) {
            return operand(values, n, heads, shape.width);
        }

        /** A view with margins on all sides. */
        private Operand operand(DoubleSupplier values, int... size) {
            int[] around = size.clone();
            around[0] += 2;
            around[1] += 1;
            around[around.length - 1] += size.length == 3 ? MARGIN : 0;
            Tensor host = Tensor.allocate(arena, DType.F32, around);
            Tensors.fill(host, () -> Double.NaN);
            Tensors.fill(inside(host, size), values);
            Tensor exact = Tensors.of(arena, inside(host, size).toDoubles(), size);
            Tensor buffer = cuda.kernels().allocate(arena, around);
            cuda.kernels().copy(host, buffer);
            return new Operand(exact, buffer, inside(buffer, size));
        }

        private Tensor inside(Tensor buffer, int[] size) {
            Tensor rows = buffer.slice(0, 1, 1 + size[0]).slice(1, 0, size[1]);
            return size.length == 3 ? rows.slice(2, offset, offset + size[2]) : rows;
        }

        double[] fetch(Operand operand) {
            int[] size = operand.exact.shape();
            Tensor host = Tensors.onHost(arena, cuda.kernels(), operand.buffer);
            Tensor view = inside(host, size);
            double[] values = view.toDoubles();
            Tensors.fill(view, () -> Double.NaN);
            for (double margin : host.toDoubles()) {
                assertTrue(Double.isNaN(margin), "the margin around an output was written to");
            }
            return values;
        }

        void forward() {
            Kernels kernels = cuda.kernels();
            kernels.attention(q.view, k.view, v.view, shape.spec, shape.segments(), z.view, lse.view);
            oracle.attention(q.exact, k.exact, v.exact, shape.spec, shape.segments(), z.exact, lse.exact);
        }

        void vjp(AttentionRule rule) {
            oracle.attentionVjp(dz.exact, new AttentionSaved(q.exact, k.exact, v.exact, z.exact, lse.exact), shape.spec,
                    shape.segments(), rule, new AttentionCotangents(dq.exact, dk.exact, dv.exact));
            tested(rule, 0, dz.view.size(0));
        }

        /** The VJP of rows {@code from <= row < to} of the cotangents. */
        void tested(AttentionRule rule, int from, int to) {
            cuda.kernels().attentionVjp(dz.view.slice(0, from, to), new AttentionSaved(q.view, k.view, v.view, z.view, lse.view),
                    shape.spec, shape.segments(), rule, new AttentionCotangents(
                            dq.view.slice(0, from, to), dk.view.slice(0, from, to), dv.view.slice(0, from, to)));
        }

        private Tensor mapped(Tensor x, DoubleUnaryOperator f) {
            return Tensors.of(arena, Arrays.stream(x.toDoubles()).map(f).toArray(), x.shape());
        }

        /** For each element of z the sum of the absolute values of its terms. */
        double[] termsOfZ() {
            Tensor sums = Tensor.allocate(arena, DType.F64, z.exact.shape());
            oracle.attention(q.exact, k.exact, mapped(v.exact, Math::abs), shape.spec, shape.segments(), sums, lse.exact);
            return sums.toDoubles();
        }

        /** For each element of dv the sum of {@code A |f(dz)|}. */
        double[] termsOfDv(DoubleUnaryOperator f) {
            Tensor sums = Tensor.allocate(arena, DType.F64, dv.exact.shape());
            oracle.attentionVjp(mapped(dz.exact, f), new AttentionSaved(q.exact, k.exact, v.exact, z.exact, lse.exact),
                    shape.spec, shape.segments(), AttentionRule.FROZEN, new AttentionCotangents(dq.exact, dk.exact, sums));
            return sums.toDoubles();
        }

        @Override
        public void close() {
            for (Operand input : List.of(q, k, v, dz)) {
                assertArrayEquals(input.exact.toDoubles(), fetch(input), "an input was changed");
            }
            arena.close();
            cuda.close();
        }

        /** Runs all on the device only. */
        void run() {
            cuda.kernels().attention(q.view, k.view, v.view, shape.spec, shape.segments(), z.view, lse.view);
            tested(AttentionRule.EXACT, 0, dz.view.size(0));
        }

        double[] firstPrompt(Operand output) {
            return Tensors.onHost(arena, cuda.kernels(), output.buffer).slice(0, 1, 1 + shape.lengths[0]).toDoubles();
        }

        /** Makes the rows of all prompts but the first NaN; returns the buffer as it was. */
        Tensor withoutOthers(Operand input) {
            Tensor kept = Tensors.onHost(arena, cuda.kernels(), input.buffer);
            Tensor others = input.view.slice(0, shape.lengths[0], shape.rows());
            Tensor nan = Tensor.allocate(arena, DType.F32, others.shape());
            Tensors.fill(nan, () -> Double.NaN);
            cuda.kernels().copy(nan, others);
            return kept;
        }

        /** That dq and dk are as they were allocated. */
        void assertUntouched() {
            for (Operand operand : List.of(dq, dk)) {
                assertTrue(Arrays.stream(fetch(operand)).allMatch(Double::isNaN), "written under FROZEN");
            }
        }

        double largestError(Operand operand) {
            return Tensors.largestDifference(operand.exact, Tensors.of(arena, fetch(operand), operand.exact.shape()));
        }

        void check(Measured measured, String what, Operand operand, DoubleUnaryOperator tolerance, double[] terms) {
            double[] actual = fetch(operand);
            double[] expected = operand.exact.toDoubles();
            for (int i = 0; i < expected.length; i++) {
                measured.check(what + " of " + shape + " element " + i, actual[i], expected[i], tolerance.applyAsDouble(terms[i]));
            }
        }
    }

    private static double[] ones(Operand operand) {
        double[] ones = new double[(int) operand.exact.elements()];
        Arrays.fill(ones, 1);
        return ones;
    }

    private static void assertFused(boolean expected, Runnable work) {
        if (TestDevice.mustBeReal()) {
            work.run();
            return;
        }
        long before = TestDevice.emulator().tensorProducts();
        work.run();
        assertEquals(expected, TestDevice.emulator().tensorProducts() > before, "on tensor cores");
    }

    @ParameterizedTest
    @MethodSource("cases")
    void operandsThatAreExact(Case c) {
        verify(c, STEP, ALIGNED, true);
    }

    /** Rounding q and k moves scores by 2 u, of v and dz by u; both lead to terms of all results. */
    @ParameterizedTest
    @MethodSource("precisions")
    void operandsThatAreRounded(CudaPrecision precision) {
        for (int width : new int[] {64, 128}) {
            Case c = new Case(precision, new Shape(2, 1, width, plain(width), 1, 1, 90));
            double largest = verify(c, 0, ALIGNED, true);
            assertTrue(largest > c.roundoff() / 8, precision + " is more exact than it can be: " + largest);
        }
    }

    /** What the kernels do not serve goes the way it went before. */
    @Test
    void everythingElse() {
        Shape served = new Shape(2, 1, 64, plain(64), 2, 2, 64);
        verify(new Case(CudaPrecision.FP32, served), STEP, ALIGNED, false);
        verify(new Case(CudaPrecision.TF32, served), STEP, ALIGNED + 1, false);
        verify(new Case(CudaPrecision.BF16, served), STEP, ALIGNED + 2, false);
        verify(new Case(CudaPrecision.TF32, new Shape(2, 1, 32, plain(32), 2, 1, 64)), STEP, ALIGNED, false);
        verify(new Case(CudaPrecision.BF16, new Shape(2, 2, 64, plain(64), 2, 1, 64, 63)), STEP, ALIGNED, false);
    }

    /** Checks all results; returns the largest error of z. */
    private static double verify(Case c, double step, int offset, boolean fused) {
        try (Measured z = new Measured("z " + c.precision + " " + c.shape.width);
                Measured lse = new Measured("lse");
                Measured dv = new Measured("dv");
                Measured scores = new Measured("dq, dk");
                Bed bed = new Bed(c.precision, c.shape, step, offset)) {
            assertFused(fused, () -> {
                bed.forward();
                bed.fetch(bed.z);
            });
            double u = c.roundoff();
            double moved = step == 0 ? 2 * u * c.shape.scores() : 0;
            double inputs = step == 0 ? u + 2 * moved : 0;
            bed.check(z, "z", bed.z, x -> (u + inputs) * x + c.single(1), bed.termsOfZ());
            bed.check(lse, "lse", bed.lse, x -> (moved + c.single(1)) * x, ones(bed.lse));
            for (AttentionRule rule : List.of(AttentionRule.FROZEN, AttentionRule.EXACT)) {
                assertFused(fused, () -> {
                    bed.vjp(rule);
                    bed.fetch(bed.dv);
                });
                bed.check(dv, "dv", bed.dv, x -> (u + inputs) * x + c.single(c.shape.heads), bed.termsOfDv(Math::abs));
                if (rule == AttentionRule.EXACT) {
                    // Of dA, at most dot(), and its mean, both of which rounding the pattern moves by u dot() at most.
                    double each = 3 * Math.abs(c.shape.spec.scale()) * c.shape.magnitude * c.shape.dot();
                    double one = (u + inputs + c.single(1)) * each;
                    bed.check(scores, "dq", bed.dq, x -> one * x, ones(bed.dq));
                    bed.check(scores, "dk", bed.dk, x -> one * x + Float.MIN_NORMAL, bed.termsOfDv(x -> 1));
                } else {
                    bed.assertUntouched();
                }
            }
            return bed.largestError(bed.z);
        }
    }

    static List<CudaPrecision> precisions() {
        return List.of(CudaPrecision.TF32, CudaPrecision.BF16);
    }

    /** Nothing depends on what else is computed, or on when. */
    @ParameterizedTest
    @MethodSource("precisions")
    void cotangentsOneByOne(CudaPrecision precision) {
        Shape shape = new Shape(4, 2, 64, plain(64), 2, 3, 70);
        try (Bed bed = new Bed(precision, shape, 0, ALIGNED)) {
            bed.forward();
            List<Operand> outputs = List.of(bed.dq, bed.dk, bed.dv);
            bed.tested(AttentionRule.EXACT, 0, 3 * shape.rows());
            List<double[]> atOnce = outputs.stream().map(bed::fetch).toList();
            for (int i = 2; i >= 0; i--) {
                bed.tested(AttentionRule.EXACT, i * shape.rows(), (i + 1) * shape.rows());
            }
            for (int i = 0; i < outputs.size(); i++) {
                assertArrayEquals(atOnce.get(i), bed.fetch(outputs.get(i)));
            }
            bed.tested(AttentionRule.FROZEN, 0, 3 * shape.rows());
            assertArrayEquals(atOnce.get(2), bed.fetch(bed.dv));
        }
    }

    /** Not even a NaN gets from one prompt into another, whose rows follow in the tiles. */
    @ParameterizedTest
    @MethodSource("precisions")
    void promptsAreApart(CudaPrecision precision) {
        Shape shape = new Shape(2, 1, 64, plain(64), 2, 1, 65, 70);
        try (Bed bed = new Bed(precision, shape, 0, ALIGNED)) {
            List<Operand> outputs = List.of(bed.z, bed.lse, bed.dq, bed.dk, bed.dv);
            bed.run();
            List<double[]> before = outputs.stream().map(bed::firstPrompt).toList();
            List<Operand> inputs = List.of(bed.q, bed.k, bed.v, bed.dz);
            List<Tensor> kept = inputs.stream().map(bed::withoutOthers).toList();
            bed.run();
            for (int i = 0; i < outputs.size(); i++) {
                assertArrayEquals(before.get(i), bed.firstPrompt(outputs.get(i)));
            }
            for (int i = 0; i < inputs.size(); i++) {
                bed.cuda.kernels().copy(kept.get(i), inputs.get(i).buffer);
            }
        }
    }

    /** {@code <dz, J v> = <J^T dz, v>}: z is linear in v. */
    @ParameterizedTest
    @MethodSource("precisions")
    void adjoint(CudaPrecision precision) {
        Case c = new Case(precision, new Shape(2, 1, 128, plain(128), 2, 1, 130));
        try (Bed bed = new Bed(precision, c.shape, STEP, ALIGNED)) {
            bed.forward();
            bed.vjp(AttentionRule.FROZEN);
            double[] left = products(bed.dz.exact.toDoubles(), bed.fetch(bed.z));
            double[] right = products(bed.v.exact.toDoubles(), bed.fetch(bed.dv));
            double difference = Math.abs(Arrays.stream(left).sum() - Arrays.stream(right).sum());
            // Every product is off by u at most, in either direction.
            double spread = Math.sqrt(Arrays.stream(products(left, left)).sum() + Arrays.stream(products(right, right)).sum());
            assertTrue(difference <= 4 * c.roundoff() * spread, difference + " apart, spread " + spread);
        }
    }

    private static double[] products(double[] a, double[] b) {
        double[] products = new double[a.length];
        Arrays.setAll(products, i -> a[i] * b[i]);
        return products;
    }
}

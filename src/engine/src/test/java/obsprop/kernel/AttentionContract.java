package obsprop.kernel;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.List;
import java.util.Random;
import obsprop.kernel.Kernels.AttentionCotangents;
import obsprop.kernel.Kernels.AttentionSaved;
import obsprop.kernel.TestBed.Operand;
import obsprop.kernel.TestBed.Side;
import obsprop.tensor.DType;
import obsprop.testing.Measured;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Contract tests of rotation and attention. */
@SuppressWarnings("exports")
public interface AttentionContract extends KernelsUnderTest {
    /** A ragged batch, H heads in G groups of width D, and the magnitude of queries and keys. */
    record Shape(int[] lengths, int heads, int groups, int width, AttentionSpec spec, double magnitude) {
        Segments segments() {
            return new Segments(lengths);
        }

        int rows() {
            return segments().rows();
        }

        /** A bound on the size of most scores: products of two uniform factors are 1/4 on average. */
        double scores() {
            return spec.scale() * Math.max(1, width / 4.0) * magnitude * magnitude;
        }

        /** By how much a relative error of the scores' terms grows in the pattern. */
        double condition() {
            return 1 + 2 * scores();
        }

        /** A bound on most columns of the pattern, summed over the heads of a group: harmonic where it is flat. */
        double columns() {
            return heads / groups * (1 + Math.log(segments().longest()));
        }

        /** Terms in the longest sum. */
        int length() {
            return Math.max(width, segments().longest() * heads / groups);
        }

        @Override
        public String toString() {
            return Arrays.toString(lengths) + " H " + heads + " G " + groups + " D " + width + " " + spec;
        }
    }

    /** Usual sizes, the odd ones included. */
    List<Shape> SHAPES = List.of(
            shape(1, 1, 1, uncapped(1), 1),
            shape(2, 1, 3, uncapped(0.5), 1, 1, 1, 1),
            shape(4, 4, 8, uncapped(1), 1, 7),
            shape(4, 2, 7, new AttentionSpec(0.4, 1, AttentionSpec.NO_CAP), 1, 3, 13, 1),
            shape(2, 1, 64, uncapped(0.125), 2, 65),
            shape(6, 3, 13, new AttentionSpec(0.3, 4, AttentionSpec.NO_CAP), 2, 13, 64, 5),
            shape(4, 2, 16, new AttentionSpec(0.25, 3, AttentionSpec.NO_CAP), 1, 4, 11, 16, 17, 1),
            shape(2, 2, 32, uncapped(0.2), 1, 5, 8),
            shape(14, 7, 64, new AttentionSpec(0.12, 9, AttentionSpec.NO_CAP), 1, 16, 5),
            shape(40, 5, 256, uncapped(0.06), 1, 4, 8),
            shape(3, 1, 16, new AttentionSpec(0.25, 64, 2), 2, 70, 2),
            shape(2, 2, 20, new AttentionSpec(0.2, AttentionSpec.NO_WINDOW, 5), 4, 133),
            shape(2, 1, 8, uncapped(0.5), 1, 40, 70, 3),
            shape(2, 2, 6, new AttentionSpec(0.3, AttentionSpec.NO_WINDOW, 4), 1, 50, 3, 67),
            shape(4, 2, 5, new AttentionSpec(0.3, 70, AttentionSpec.NO_CAP), 1, 70, 530),
            shape(2, 1, 4, new AttentionSpec(0.4, AttentionSpec.NO_WINDOW, 3), 1, 520));

    /** Scores of up to 1e4, plain, windowed and capped. */
    List<Shape> EXTREME = List.of(
            shape(2, 1, 4, uncapped(1), 100, 1, 33),
            shape(2, 2, 16, new AttentionSpec(1, 5, AttentionSpec.NO_CAP), 50, 20),
            shape(2, 1, 8, new AttentionSpec(1, AttentionSpec.NO_WINDOW, 50), 50, 20));

    private static Shape shape(int heads, int groups, int width, AttentionSpec spec, double magnitude, int... lengths) {
        return new Shape(lengths.length == 0 ? new int[] {1} : lengths, heads, groups, width, spec, magnitude);
    }

    private static AttentionSpec uncapped(double scale) {
        return new AttentionSpec(scale, AttentionSpec.NO_WINDOW, AttentionSpec.NO_CAP);
    }

    /** The operands of one forward. */
    record Forward(Shape shape, Operand q, Operand k, Operand v, Operand z, Operand lse) {
        static Forward random(TestBed bed, Shape shape) {
            int n = shape.rows();
            return new Forward(
                    shape,
                    bed.input(shape.magnitude(), n, shape.heads(), shape.width()),
                    bed.input(shape.magnitude(), n, shape.groups(), shape.width()),
                    bed.input(1, n, shape.groups(), shape.width()),
                    bed.output(Write.OVERWRITE, n, shape.heads(), shape.width()),
                    bed.output(Write.OVERWRITE, n, shape.heads()));
        }

        void on(Side s) {
            s.kernels().attention(s.of(q), s.of(k), s.of(v), shape.spec(), shape.segments(), s.of(z), s.of(lse));
        }

        AttentionSaved saved(Side s) {
            return new AttentionSaved(s.of(q), s.of(k), s.of(v), s.of(z), s.of(lse));
        }

        void vjp(Side s, Operand dz, AttentionRule rule, Cotangents out) {
            s.kernels().attentionVjp(s.of(dz), saved(s), shape.spec(), shape.segments(), rule, out.on(s));
        }
    }

    /** The operands that a VJP writes. */
    record Cotangents(Operand dq, Operand dk, Operand dv) {
        static Cotangents of(TestBed bed, Shape shape, int cotangents) {
            int rows = cotangents * shape.rows();
            return new Cotangents(
                    bed.output(Write.OVERWRITE, rows, shape.heads(), shape.width()),
                    bed.output(Write.OVERWRITE, rows, shape.groups(), shape.width()),
                    bed.output(Write.OVERWRITE, rows, shape.groups(), shape.width()));
        }

        Cotangents rows(int from, int to) {
            return new Cotangents(dq.rows(from, to), dk.rows(from, to), dv.rows(from, to));
        }

        AttentionCotangents on(Side s) {
            return new AttentionCotangents(s.of(dq), s.of(dk), s.of(dv));
        }
    }

    @ParameterizedTest
    @EnumSource
    default void attention(Layout layout) {
        try (Measured measured = new Measured("attention " + layout)) {
            for (Shape shape : SHAPES) {
                attention(new TestBed(kernels(), layout, measured), shape);
            }
        }
    }

    @ParameterizedTest
    @EnumSource
    default void attentionAtExtremeScores(Layout layout) {
        try (Measured measured = new Measured("attention, extreme scores " + layout)) {
            for (Shape shape : EXTREME) {
                attention(new TestBed(kernels(), layout, measured), shape);
            }
        }
    }

    private void attention(TestBed bed, Shape shape) {
        try (bed) {
            Forward forward = Forward.random(bed, shape);
            bed.both(forward::on);
            bed.check("z of " + shape, forward.z(), bed.tolerance(shape.length(), shape.condition()));
            bed.check("lse of " + shape, forward.lse(), bed.tolerance(shape.width(), 1 + shape.scores()));
            for (int b = 0; b < shape.lengths().length; b++) {
                int prompt = b;
                int length = shape.lengths()[b];
                Operand pattern = bed.output(Write.OVERWRITE, shape.heads(), length, length);
                bed.both(s -> s.kernels()
                        .attentionPattern(forward.saved(s), shape.spec(), shape.segments(), prompt, s.of(pattern)));
                bed.check("pattern of " + shape, pattern, bed.tolerance(shape.width(), shape.condition()));
            }
        }
    }

    /** Every key of a prompt moved by one big vector: the scores are big, the pattern is as before. */
    @Test
    default void attentionUnderBigKeyBias() {
        Shape shape = shape(2, 2, 8, uncapped(1), 1, 20);
        try (Measured measured = new Measured("attention, big key bias");
                TestBed bed = new TestBed(kernels(), Layout.CONTIGUOUS, measured)) {
            Random random = new Random(5);
            int n = shape.rows();
            Forward f = Forward.random(bed, shape);
            Operand k = bed.input(() -> 1e4 + random.nextInt(16) / 16.0, n, 2, 8);
            Forward biased = new Forward(shape, f.q(), k, f.v(), f.z(), f.lse());
            bed.both(biased::on);
            bed.check("z", f.z(), bed.tolerance(8, 2e4 * shape.condition()));
            for (double value : bed.fetch(f.z())) {
                assertTrue(Math.abs(value) <= 1 + bed.tolerance(n, 1), "not a mean of the values: " + value);
            }
        }
    }

    @ParameterizedTest
    @EnumSource
    default void attentionVjp(Layout layout) {
        for (AttentionRule rule : AttentionRule.values()) {
            try (Measured measured = new Measured("attentionVjp " + rule + " " + layout)) {
                for (Shape shape : SHAPES) {
                    for (int cotangents : COTANGENTS) {
                        attentionVjp(new TestBed(kernels(), layout, measured), shape, rule, cotangents);
                    }
                }
            }
            try (Measured measured = new Measured("attentionVjp, extreme scores, " + rule + " " + layout)) {
                for (Shape shape : EXTREME) {
                    attentionVjp(new TestBed(kernels(), layout, measured), shape, rule, 2);
                }
            }
        }
    }

    /**
     * Where all keys have the same value, scores do not matter: what {@code A dA} gives is taken away in full, however big scores
     * are. A long prompt too, since short ones go another way in places.
     */
    @Test
    default void attentionVjpCancelsUnderBigKeyBias() {
        double bias = 1e4;
        for (int length : new int[] {5, 20, 150}) {
            Shape shape = shape(2, 2, 8, uncapped(1), 1, length);
            try (Measured measured = new Measured("attentionVjp, big key bias, " + length + " tokens");
                    TestBed bed = new TestBed(kernels(), Layout.CONTIGUOUS, measured)) {
                Random random = new Random(6);
                int n = shape.rows();
                Forward f = Forward.random(bed, shape);
                Operand k = bed.input(() -> bias + random.nextInt(16) / 16.0, n, 2, 8);
                Operand v = bed.input(() -> 1, n, 2, 8);
                Forward biased = new Forward(shape, f.q(), k, v, f.z(), f.lse());
                bed.both(biased::on);
                Operand dz = bed.input(1, n, 2, 8);
                Cotangents out = Cotangents.of(bed, shape, 1);
                bed.both(s -> biased.vjp(s, dz, AttentionRule.EXACT, out));
                bed.check("dq", out.dq(), bed.tolerance(8, 8 * bias));
                bed.check("dk", out.dk(), bed.tolerance(8, 8.0 * n));
            }
        }
    }

    private void attentionVjp(TestBed bed, Shape shape, AttentionRule rule, int cotangents) {
        try (bed) {
            int n = shape.rows();
            Forward forward = Forward.random(bed, shape);
            bed.both(forward::on);
            Operand dz = bed.input(1, cotangents * n, shape.heads(), shape.width());
            Cotangents atOnce = Cotangents.of(bed, shape, cotangents);
            Cotangents oneByOne = Cotangents.of(bed, shape, cotangents);
            bed.both(s -> forward.vjp(s, dz, rule, atOnce));
            for (int c = 0; c < cotangents; c++) {
                Operand in = dz.rows(c * n, (c + 1) * n);
                Cotangents out = oneByOne.rows(c * n, (c + 1) * n);
                bed.tested(s -> forward.vjp(s, in, rule, out));
            }
            String context = shape + " K " + cotangents;
            bed.check("dv of " + context, atOnce.dv(), bed.tolerance(shape.length(), shape.columns() * shape.condition()));
            boolean exact = rowsAreIndependent();
            double apart = bed.tolerance(shape.length(), scoreCotangents(shape) * shape.columns());
            bed.same("dv one by one " + context, atOnce.dv(), oneByOne.dv(), exact, apart);
            bed.same("dq one by one " + context, atOnce.dq(), oneByOne.dq(), exact, apart);
            bed.same("dk one by one " + context, atOnce.dk(), oneByOne.dk(), exact, apart);
            checkScores(bed, context, shape, rule, atOnce);
        }
    }

    /** dq and dk: sums of {@code scale ds k} and {@code scale ds q}, where {@code ds} is about {@code A dz.v}. */
    private static void checkScores(TestBed bed, String context, Shape shape, AttentionRule rule, Cotangents out) {
        if (rule == AttentionRule.FROZEN) {
            for (double value : bed.fetch(out.dq())) {
                assertTrue(Double.isNaN(value), "dq was written under FROZEN");
            }
            for (double value : bed.fetch(out.dk())) {
                assertTrue(Double.isNaN(value), "dk was written under FROZEN");
            }
            return;
        }
        double ds = scoreCotangents(shape);
        bed.check("dq of " + context, out.dq(), bed.tolerance(shape.length(), ds));
        bed.check("dk of " + context, out.dk(), bed.tolerance(shape.length(), ds * shape.columns()));
    }

    private static double scoreCotangents(Shape shape) {
        return shape.spec().scale() * shape.magnitude() * Math.max(1, shape.width() / 4.0) * shape.condition();
    }

    @ParameterizedTest
    @EnumSource
    default void rotate(Layout layout) {
        try (Measured measured = new Measured("rotate " + layout)) {
            for (RotaryStyle style : RotaryStyle.values()) {
                for (int pairs : new int[] {1, 3, 8, 32}) {
                    for (int rest : new int[] {0, 5}) {
                        for (int cotangents : COTANGENTS) {
                            rotate(new TestBed(kernels(), layout, measured), style, pairs, rest, cotangents);
                        }
                    }
                }
            }
        }
    }

    private void rotate(TestBed bed, RotaryStyle style, int pairs, int rest, int cotangents) {
        try (bed) {
            int[] positions = {0, 1, 2, 3, 0, 1, 6};
            Operand cos = bed.weight(DType.F32, 1, 7, pairs);
            Operand sin = bed.weight(DType.F32, 1, 7, pairs);
            Operand x = bed.inPlace(1, cotangents * positions.length, 3, 2 * pairs + rest);
            String context = style + " pairs " + pairs + " rest " + rest + " K " + cotangents;
            bed.both(s -> s.kernels().rotate(s.of(x), positions, s.of(cos), s.of(sin), style, false));
            bed.check(context, x, bed.tolerance(2, 2));
            bed.both(s -> s.kernels().rotate(s.of(x), positions, s.of(cos), s.of(sin), style, true));
            bed.check(context + " back", x, bed.tolerance(4, 4));
        }
    }
}

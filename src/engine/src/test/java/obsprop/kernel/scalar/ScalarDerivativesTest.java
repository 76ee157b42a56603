package obsprop.kernel.scalar;

import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.Optional;
import java.util.Random;
import java.util.stream.IntStream;
import obsprop.kernel.Activation;
import obsprop.kernel.AttentionRule;
import obsprop.kernel.AttentionSpec;
import obsprop.kernel.Kernels.AttentionCotangents;
import obsprop.kernel.Kernels.AttentionSaved;
import obsprop.kernel.Kernels;
import obsprop.kernel.NormParameters.Kind;
import obsprop.kernel.NormParameters;
import obsprop.kernel.NormRule;
import obsprop.kernel.RotaryStyle;
import obsprop.kernel.Segments;
import obsprop.kernel.Transpose;
import obsprop.kernel.Write;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;
import obsprop.testing.Derivatives;
import obsprop.testing.Measured;
import obsprop.testing.Tensors;
import obsprop.testing.Tolerance;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** Proves every VJP of the oracle, in double, by the adjoint identity and central differences. */
final class ScalarDerivativesTest {
    private static final double EPSILON = 1e-5;

    private final Kernels kernels = ScalarKernels.float64();
    private final Arena arena = Arena.ofAuto();
    private final Random random = new Random(11);

    private Tensor tensor(double[] values, int... shape) {
        return Tensors.of(arena, values, shape);
    }

    private Tensor empty(int... shape) {
        return kernels.allocate(arena, shape);
    }

    private static double[] joined(Tensor... parts) {
        return Arrays.stream(parts).flatMapToDouble(t -> Arrays.stream(t.toDoubles())).toArray();
    }

    @Test
    void gemm() {
        Tensor w = Tensors.random(arena, DType.BF16, random, 1, 5, 4);
        Derivatives.check(
                new Derivatives.Case(
                        "gemm",
                        x -> product(x, 4, w, Transpose.YES, 5),
                        (x, u) -> product(u, 5, w, Transpose.NO, 4)),
                Tensors.random(random, 1, 12),
                random);
    }

    private double[] product(double[] x, int k, Tensor w, Transpose transpose, int n) {
        Tensor y = empty(x.length / k, n);
        kernels.gemm(tensor(x, x.length / k, k), Transpose.NO, w, transpose, y, Write.OVERWRITE);
        return y.toDoubles();
    }

    private NormParameters parameters(Kind kind, int n) {
        Optional<Tensor> bias =
                kind == Kind.LAYER ? Optional.of(Tensors.random(arena, DType.F32, random, 1, n)) : Optional.empty();
        return new NormParameters(kind, EPSILON, 0.5, Tensors.random(arena, DType.F32, random, 1, n), bias);
    }

    @ParameterizedTest
    @EnumSource
    void exactNorm(Kind kind) {
        for (int[] shape : new int[][] {{2, 7}, {2, 3, 5}}) {
            NormParameters parameters = parameters(kind, shape[shape.length - 1]);
            Derivatives.check(
                    new Derivatives.Case(
                            "norm " + kind + " rank " + shape.length,
                            x -> norm(tensor(x, shape), parameters)[0].toDoubles(),
                            (x, u) -> normVjp(tensor(x, shape), tensor(u, shape), parameters, NormRule.EXACT)),
                    spread(shape),
                    random);
        }
    }

    /** Well away from rows of small variance, where the norm bends sharply. */
    private double[] spread(int... shape) {
        int size = IntStream.of(shape).reduce(1, Math::multiplyExact);
        return IntStream.range(0, size)
                .mapToDouble(i -> 2 * Math.cos(2.4 * i) + random.nextDouble())
                .toArray();
    }

    /** {y, stats}. */
    private Tensor[] norm(Tensor x, NormParameters parameters) {
        int[] shape = x.shape();
        Tensor y = empty(shape);
        shape[shape.length - 1] = 2;
        Tensor stats = empty(shape);
        kernels.norm(x, parameters, y, stats);
        return new Tensor[] {y, stats};
    }

    private double[] normVjp(Tensor x, Tensor dy, NormParameters parameters, NormRule rule) {
        Tensor dx = empty(x.shape());
        kernels.normVjp(dy, x, norm(x, parameters)[1], parameters, rule, dx, Write.OVERWRITE);
        return dx.toDoubles();
    }

    /** The derivative of {@code g (x - mean) rstd + bias} with rstd as it is at one point. */
    @ParameterizedTest
    @EnumSource
    void frozenNorm(Kind kind) {
        int n = 7;
        NormParameters parameters = parameters(kind, n);
        double[] at = spread(1, n);
        double rstd = norm(tensor(at, 1, n), parameters)[1].get(0, 1);
        Derivatives.check(
                new Derivatives.Case(
                        "frozen norm " + kind,
                        x -> normWith(rstd, x, parameters),
                        (x, u) -> normVjp(tensor(at, 1, n), tensor(u, 1, n), parameters, NormRule.FROZEN)),
                at,
                random);
    }

    private static double[] normWith(double rstd, double[] x, NormParameters parameters) {
        double mean = parameters.kind() == Kind.LAYER ? Arrays.stream(x).average().orElseThrow() : 0;
        return IntStream.range(0, x.length)
                .mapToDouble(i -> (parameters.gain().get(i) + parameters.gainOffset()) * (x[i] - mean) * rstd
                        + parameters.bias().map(bias -> bias.get(i)).orElse(0.0))
                .toArray();
    }

    /** The rules that are no derivatives, by their formulas. */
    @ParameterizedTest
    @EnumSource
    void otherNormRules(Kind kind) {
        int n = 7;
        NormParameters parameters = parameters(kind, n);
        double[] x = spread(1, n);
        double[] dy = Tensors.random(random, 1, n);
        double length = Math.sqrt(Arrays.stream(x).map(value -> value * value).sum());
        try (Measured measured = new Measured("norm rules without derivative, " + kind)) {
            for (NormRule rule : new NormRule[] {NormRule.PAPER, NormRule.WEIGHT_ONLY, NormRule.NONE}) {
                double[] dx = normVjp(tensor(x, 1, n), tensor(dy, 1, n), parameters, rule);
                for (int i = 0; i < n; i++) {
                    double gained = (parameters.gain().get(i) + parameters.gainOffset()) * dy[i];
                    double expected = rule == NormRule.PAPER ? Math.sqrt(n) / length * gained : gained;
                    expected = rule == NormRule.NONE ? dy[i] : expected;
                    measured.check(rule.name(), dx[i], expected, Tolerance.of(DType.F64, n, 2));
                }
            }
        }
    }

    @ParameterizedTest
    @EnumSource
    void rotate(RotaryStyle style) {
        double[] angles = Tensors.random(random, 3, 8);
        Tensor cos = tensor(Arrays.stream(angles).map(Math::cos).toArray(), 4, 2);
        Tensor sin = tensor(Arrays.stream(angles).map(Math::sin).toArray(), 4, 2);
        Derivatives.check(
                new Derivatives.Case(
                        "rotate " + style,
                        x -> rotated(x, cos, sin, style, false),
                        (x, u) -> rotated(u, cos, sin, style, true)),
                Tensors.random(random, 1, 3 * 2 * 5),
                random);
    }

    private double[] rotated(double[] values, Tensor cos, Tensor sin, RotaryStyle style, boolean inverse) {
        Tensor x = tensor(values, 3, 2, 5);
        kernels.rotate(x, new int[] {0, 3, 1}, cos, sin, style, inverse);
        return x.toDoubles();
    }

    /** Lengths, heads, groups, width, window, cap: x is q, k and v one after the other. */
    @ParameterizedTest
    @CsvSource({
        "5, 1, 1, 3, 99, Infinity",
        "1, 2, 2, 3, 99, Infinity",
        "6, 2, 1, 2, 3, Infinity",
        "5, 2, 2, 3, 99, 1.5",
        "2+1+4, 4, 2, 3, 2, 2.5",
        "4+3, 3, 1, 2, 1, Infinity"
    })
    void attention(String lengths, int heads, int groups, int width, int window, double cap) {
        Segments segments = new Segments(
                Arrays.stream(lengths.split("\\+")).mapToInt(Integer::parseInt).toArray());
        AttentionCase test = new AttentionCase(heads, groups, width, new AttentionSpec(0.7, window, cap), segments);
        String name = "attention " + lengths + " H" + heads + " G" + groups + " window " + window + " cap " + cap;
        double[] x = Tensors.random(random, 1, test.rows() * (heads + 2 * groups) * width);
        Derivatives.check(new Derivatives.Case(name, test::forward, test::vjp), x, random);

        double[] queriesAndKeys = Arrays.copyOf(x, test.rows() * (heads + groups) * width);
        double[] values = Arrays.copyOfRange(x, queriesAndKeys.length, x.length);
        Derivatives.check(
                new Derivatives.Case(
                        "frozen " + name,
                        v -> test.forward(join(queriesAndKeys, v)),
                        (v, u) -> test.frozenVjp(join(queriesAndKeys, v), u)),
                values,
                random);
    }

    private static double[] join(double[] a, double[] b) {
        double[] out = Arrays.copyOf(a, a.length + b.length);
        System.arraycopy(b, 0, out, a.length, b.length);
        return out;
    }

    /** Attention as a function of q, k and v in one vector. */
    private final class AttentionCase {
        private final int heads;
        private final int groups;
        private final int width;
        private final AttentionSpec spec;
        private final Segments segments;

        AttentionCase(int heads, int groups, int width, AttentionSpec spec, Segments segments) {
            this.heads = heads;
            this.groups = groups;
            this.width = width;
            this.spec = spec;
            this.segments = segments;
        }

        int rows() {
            return segments.rows();
        }

        private AttentionSaved inputs(double[] x) {
            int ofQueries = rows() * heads * width;
            int ofKeys = rows() * groups * width;
            return new AttentionSaved(
                    tensor(Arrays.copyOf(x, ofQueries), rows(), heads, width),
                    tensor(Arrays.copyOfRange(x, ofQueries, ofQueries + ofKeys), rows(), groups, width),
                    tensor(Arrays.copyOfRange(x, ofQueries + ofKeys, x.length), rows(), groups, width),
                    empty(rows(), heads, width),
                    empty(rows(), heads));
        }

        /** Runs the forward, fills in.z() and in.lse(), returns z. */
        private Tensor run(AttentionSaved in) {
            kernels.attention(in.q(), in.k(), in.v(), spec, segments, in.z(), in.lse());
            return in.z();
        }

        double[] forward(double[] x) {
            return run(inputs(x)).toDoubles();
        }

        private AttentionCotangents pull(double[] x, double[] u, AttentionRule rule) {
            AttentionSaved in = inputs(x);
            run(in);
            AttentionCotangents out = new AttentionCotangents(
                    empty(rows(), heads, width), empty(rows(), groups, width), empty(rows(), groups, width));
            kernels.attentionVjp(tensor(u, rows(), heads, width), in, spec, segments, rule, out);
            return out;
        }

        double[] vjp(double[] x, double[] u) {
            AttentionCotangents out = pull(x, u, AttentionRule.EXACT);
            return joined(out.dq(), out.dk(), out.dv());
        }

        double[] frozenVjp(double[] x, double[] u) {
            return pull(x, u, AttentionRule.FROZEN).dv().toDoubles();
        }
    }

    /** Points on both sides of zero, none nearer to it than the stencil reaches. */
    private static double[] aroundTheKink() {
        return new double[] {-40, -6, -2.5, -1, -0.4, -0.1, 0.1, 0.3, 0.9, 2, 4.5, 7, 40};
    }

    @ParameterizedTest
    @EnumSource
    void activation(Activation f) {
        int n = aroundTheKink().length;
        Derivatives.check(
                new Derivatives.Case(f.name(), x -> activated(f, x), (x, u) -> {
                    Tensor dx = empty(1, n);
                    kernels.activationVjp(f, tensor(u, 1, n), tensor(x, 1, n), dx);
                    return dx.toDoubles();
                }),
                aroundTheKink(),
                random);
    }

    private double[] activated(Activation f, double[] x) {
        Tensor y = empty(1, x.length);
        kernels.activation(f, tensor(x, 1, x.length), y);
        return y.toDoubles();
    }

    @ParameterizedTest
    @EnumSource
    void gated(Activation f) {
        double[] gate = aroundTheKink();
        int n = gate.length;
        Derivatives.check(
                new Derivatives.Case(
                        "gated " + f,
                        x -> {
                            Tensor y = empty(1, n);
                            kernels.gated(f, part(x, 0), part(x, 1), y);
                            return y.toDoubles();
                        },
                        (x, u) -> {
                            Tensor dGate = empty(1, n);
                            Tensor dUp = empty(1, n);
                            kernels.gatedVjp(f, tensor(u, 1, n), part(x, 0), part(x, 1), dGate, dUp);
                            return joined(dGate, dUp);
                        }),
                join(gate, Tensors.random(random, 1, n)),
                random);
    }

    /** The first or second half of x, as one row. */
    private Tensor part(double[] x, int which) {
        int n = x.length / 2;
        return tensor(Arrays.copyOfRange(x, which * n, (which + 1) * n), 1, n);
    }

    /** Its derivative as the model uses it: {@code 1 - (y/cap)^2}. */
    @Test
    void softCap() {
        double cap = 3;
        Derivatives.check(
                new Derivatives.Case("softCap", x -> capped(cap, x), (x, u) -> {
                    double[] y = capped(cap, x);
                    return IntStream.range(0, u.length)
                            .mapToDouble(i -> u[i] * (1 - (y[i] / cap) * (y[i] / cap)))
                            .toArray();
                }),
                aroundTheKink(),
                random);
    }

    private double[] capped(double cap, double[] x) {
        Tensor y = tensor(x, 1, x.length);
        kernels.softCap(cap, y);
        return y.toDoubles();
    }
}

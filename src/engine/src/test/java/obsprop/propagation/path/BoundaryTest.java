package obsprop.propagation.path;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import java.util.function.DoubleUnaryOperator;
import java.util.function.ToDoubleFunction;
import java.util.stream.IntStream;
import obsprop.kernel.Kernels;
import obsprop.kernel.NormRule;
import obsprop.kernel.scalar.ScalarKernels;
import obsprop.model.Transformer;
import obsprop.model.family.ModelLoader;
import obsprop.propagation.HostRows;
import obsprop.propagation.Path;
import obsprop.propagation.PromptRun;
import obsprop.propagation.Step;
import obsprop.propagation.path.MlpFinding.Outcome;
import obsprop.tensor.Tensor;
import obsprop.testing.Derivatives;
import obsprop.testing.Golden;
import obsprop.testing.Tensors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Linearisation points of MLPs: the search itself on functions with known zeros, and on real MLPs in double. */
class BoundaryTest {
    /** A root in the argument, and a search's own relative criterion. */
    private static final double ROOT = 1e-8;

    private static final double SEARCHED = 1e-4;

    @Test
    void rootsOfKnownFunctions() {
        List<DoubleUnaryOperator> functions = List.of(
                x -> x - 0.3, x -> Math.pow(x - 0.3, 3), x -> Math.exp(20 * (x - 0.3)) - 1, x -> Math.atan(100 * (x - 0.3)),
                x -> x < 0.3 ? -1 : 1, x -> Math.cbrt(x - 0.3));
        for (DoubleUnaryOperator f : functions) {
            assertEquals(0.3, Brent.root(f, 0, 1, 1e-12), ROOT);
            assertEquals(0.3, Brent.root(f, 1, 0, 1e-12), ROOT);
            assertEquals(0.3, Brent.root(x -> -f.applyAsDouble(x), 0, 1, 1e-12), ROOT);
        }
        assertThrows(IllegalArgumentException.class, () -> Brent.root(x -> x + 1, 0, 1, 1e-12));
        assertEquals(0.7, Brent.minimum(x -> (x - 0.7) * (x - 0.7), 0, 1, 1e-9), 1e-7);
    }

    @Test
    void segmentOfKnownFields() {
        double[] clean = {0, 0};
        double[] other = {1, 2};
        assertSegment(field(x -> x[0] - 0.25, x -> new double[] {1, 0}), clean, other, Outcome.ROOT, 0.25);
        // Two roots: the one nearer to the clean point.
        assertSegment(field(x -> (x[0] - 0.2) * (x[0] - 0.9), x -> null), clean, other, Outcome.ROOT, 0.2);
        // Two roots within one cell of the scan, met by the minimiser on its way.
        assertSegment(field(x -> (x[0] - 0.5) * (x[0] - 0.5) - 1e-6, x -> null), clean, other, Outcome.ROOT, 0.499);
        assertSegment(field(x -> (x[0] - 0.4) * (x[0] - 0.4) + 0.1, x -> null), clean, other, Outcome.NO_SIGN_CHANGE, 0.4);
        assertSegment(field(x -> -1 - x[0], x -> null), clean, other, Outcome.NO_SIGN_CHANGE, 0);
        assertSegment(field(x -> 2 - x[0], x -> null), clean, other, Outcome.NO_SIGN_CHANGE, 1);
        assertSegment(field(x -> x[0], x -> null), clean, other, Outcome.ROOT, 0);
    }

    private static void assertSegment(
            ScalarField field, double[] clean, double[] other, Outcome outcome, double lambda) {
        var found = new DecisionBoundary(field, clean).onSegment(other);
        assertEquals(outcome, found.outcome());
        assertEquals(lambda, found.lambda(), 1e-6);
        assertEquals(lambda * other[1], found.x()[1], 1e-6);
    }

    /** The nearest point of a plane, and of a sphere from outside and inside. */
    @Test
    void nearestOfKnownFields() {
        Random random = new Random(4);
        for (int n = 0; n < 20; n++) {
            double[] clean = Tensors.random(random, 3, 5);
            double[] w = Tensors.random(random, 1, 5);
            var plane = new DecisionBoundary(field(x -> HostRows.dot(w, x) - 2, x -> w), clean).nearest(Optional.empty());
            assertEquals(Outcome.NEAREST, plane.outcome());
            double expected = Math.abs(HostRows.dot(w, clean) - 2) / HostRows.norm(w);
            assertEquals(expected, distance(plane.x(), clean), SEARCHED * expected);
            ScalarField sphere = field(x -> HostRows.dot(x, x) - 9, x -> HostRows.plus(x, 1, x));
            var onSphere = new DecisionBoundary(sphere, clean).nearest(Optional.of(w));
            assertEquals(Outcome.NEAREST, onSphere.outcome());
            double gap = Math.abs(HostRows.norm(clean) - 3);
            assertEquals(gap, distance(onSphere.x(), clean), SEARCHED * 3);
        }
    }

    @Test
    void saysWhereThereIsNoBoundary() {
        ScalarField none = field(x -> 1 + HostRows.dot(x, x), x -> HostRows.plus(x, 1, x));
        var found = new DecisionBoundary(none, new double[] {1, 2}).nearest(Optional.empty());
        assertEquals(Outcome.NOT_CONVERGED, found.outcome());
    }

    private static double distance(double[] a, double[] b) {
        return HostRows.norm(HostRows.plus(a, -1, b));
    }

    private static ScalarField field(
            ToDoubleFunction<double[]> value, java.util.function.UnaryOperator<double[]> gradient) {
        return new ScalarField() {
            @Override
            public double value(double[] x) {
                return value.applyAsDouble(x);
            }

            @Override
            public double[] gradient(double[] x) {
                return gradient.apply(x);
            }
        };
    }

    /** Plain and gated, with and without norms before and after; not the ReLU of OPT, which has kinks. */
    @ParameterizedTest
    @ValueSource(strings = {"gpt2", "starcoder2", "llama", "gemma2", "olmo2", "gptj"})
    void mlpDerivative(String name) {
        Kernels kernels = ScalarKernels.float64();
        Random random = new Random(2);
        try (Arena arena = Arena.ofShared();
                Transformer model = ModelLoader.open(Golden.open(name, arena).directory(), kernels);
                MlpRows mlp = new MlpRows(model, 1)) {
            int d = model.config().dModel();
            Tensor row = kernels.allocate(arena, 1, d);
            Derivatives.check(new Derivatives.Case(name + " MLP with its norms", x -> {
                HostRows.write(kernels, x, row);
                return HostRows.read(kernels, mlp.forward(1, row));
            }, (x, u) -> {
                HostRows.write(kernels, x, row);
                mlp.forward(1, row);
                HostRows.write(kernels, u, row);
                mlp.vjp(1, row, NormRule.EXACT, row);
                return HostRows.read(kernels, row);
            }), Tensors.random(random, 2, d), random);
        }
    }

    /** On MLPs of real form: a boundary that is claimed is one, and none is farther than the one on the segment. */
    @ParameterizedTest
    @ValueSource(strings = {"gpt2", "gpt_neo", "llama", "gemma2", "phi"})
    void boundariesOfMlps(String name) {
        Kernels kernels = ScalarKernels.float64();
        List<MlpFinding> atClean = findings(name, kernels, MlpPoint.CLEAN);
        List<MlpFinding> atCorrupted = findings(name, kernels, MlpPoint.CORRUPTED);
        List<MlpFinding> onSegment = findings(name, kernels, MlpPoint.BOUNDARY);
        List<MlpFinding> atNearest = findings(name, kernels, MlpPoint.NEAREST_BOUNDARY);
        for (int l = 0; l < atClean.size(); l++) {
            MlpFinding clean = atClean.get(l);
            MlpFinding corrupted = atCorrupted.get(l);
            MlpFinding segment = onSegment.get(l);
            MlpFinding nearest = atNearest.get(l);
            System.out.println(name + ": " + segment + "; " + nearest);
            boolean opposite = clean.value() * corrupted.value() < 0;
            assertTrue(!opposite || segment.outcome() == Outcome.ROOT, segment.toString());
            assertTrue(segment.lambda() >= 0 && segment.lambda() <= 1);
            double least = Math.min(Math.abs(clean.value()), Math.abs(corrupted.value()));
            assertTrue(Math.abs(segment.value()) <= (segment.outcome() == Outcome.ROOT ? 1e-6 : 1) * least);
            if (segment.outcome() == Outcome.ROOT) {
                assertEquals(Outcome.NEAREST, nearest.outcome());
                assertTrue(nearest.distance() <= segment.distance() * (1 + SEARCHED));
            }
            if (nearest.outcome() == Outcome.NEAREST) {
                assertTrue(Math.abs(nearest.value()) <= SEARCHED * Math.abs(clean.value()));
            }
        }
    }

    /** What single precision cannot resolve must not keep a search from its end, which is that of double precision. */
    @ParameterizedTest
    @ValueSource(strings = {"gpt2", "gpt_neo", "llama", "gemma2", "olmo2", "phi"})
    void singlePrecisionFindsTheSameNearestBoundaries(String name) {
        List<MlpFinding> exact = findings(name, ScalarKernels.float64(), MlpPoint.NEAREST_BOUNDARY);
        List<MlpFinding> single = findings(name, ScalarKernels.float32(), MlpPoint.NEAREST_BOUNDARY);
        for (int i = 0; i < exact.size(); i++) {
            if (exact.get(i).outcome() == Outcome.NEAREST) {
                assertEquals(Outcome.NEAREST, single.get(i).outcome(), exact.get(i) + "; " + single.get(i));
                assertEquals(exact.get(i).distance(), single.get(i).distance(), SEARCHED * exact.get(i).distance() + SEARCHED / 10);
            }
        }
    }

    /** Of the MLP of every layer at the last token. */
    private static List<MlpFinding> findings(String name, Kernels kernels, MlpPoint point) {
        try (Arena arena = Arena.ofShared();
                Transformer model = ModelLoader.open(Golden.open(name, arena).directory(), kernels)) {
            Golden golden = Golden.open(name, arena);
            try (var cache = model.forward(golden.batch())) {
                Runs runs = Runs.of(new PromptRun(cache, 0), new PromptRun(cache, 1));
                var propagator = new PathPropagator(model, name);
                PathRules rules = PathRules.of(NormRule.EXACT).with(point);
                return IntStream.range(0, model.config().nLayers())
                        .mapToObj(l -> propagator.propagate(golden.observable(), Path.of(new Step.Mlp(l, -1)), rules, runs).mlps().getFirst())
                        .toList();
            }
        }
    }
}

package obsprop.analysis.norms;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.IntStream;
import obsprop.analysis.statistics.Vectors;
import obsprop.kernel.NormParameters;
import obsprop.kernel.NormRule;
import obsprop.kernel.scalar.ScalarKernels;
import obsprop.model.ActivationCache;
import obsprop.model.Batch;
import obsprop.model.Point;
import obsprop.model.Transformer;
import obsprop.model.family.ModelLoader;
import obsprop.model.layer.Norm;
import obsprop.model.layer.NormSite;
import obsprop.propagation.Observable;
import obsprop.tensor.Tensor;
import obsprop.testing.Golden;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class NormsTest {
    static List<String> fixtures() {
        return Golden.names();
    }

    @ParameterizedTest
    @MethodSource("fixtures")
    void lengthsAreThoseOfTheStreamWhereTheNormsRead(String name) {
        try (Transformer model = ModelLoader.open(Golden.ROOT.resolve(name), ScalarKernels.float64())) {
            Batch batch = Batch.of(prompts(model, 1));
            List<NormInput> inputs = NormStatistics.of(model, prompts(model, 1));
            assertTrue(inputs.size() >= model.config().nLayers(), inputs.toString());
            if (!model.hasDirectEffects()) {
                return;
            }
            try (ActivationCache cache = model.forward(batch)) {
                for (NormInput input : inputs) {
                    if (input.site() == NormSite.ATTENTION_INPUT || input.site() == NormSite.FINAL) {
                        assertEquals(meanLength(cache.residual(input.layer())), input.meanLength(), 1e-9);
                    } else if (input.site() == NormSite.MLP_INPUT) {
                        Point point = model.block(input.layer()).hasMiddle() ? Point.MIDDLE : Point.INPUT;
                        assertEquals(meanLength(cache.residual(input.layer(), point)), input.meanLength(), 1e-9);
                    } else {
                        assertTrue(input.meanLength() > 0);
                    }
                    assertTrue(input.gain().least() <= input.gain().mean() && input.gain().mean() <= input.gain().most());
                }
            }
        }
    }

    private static double meanLength(Tensor x) {
        return IntStream.range(0, x.size(0)).mapToDouble(i -> Vectors.norm(x.select(0, i).toDoubles())).average().orElseThrow();
    }

    private static List<int[]> prompts(Transformer model, int seed) {
        Random random = new Random(seed);
        return IntStream.range(0, 5)
                .mapToObj(i -> random.ints(1 + random.nextInt(12), 0, model.config().dVocab()).toArray())
                .toList();
    }

    @ParameterizedTest
    @MethodSource("fixtures")
    void errorsOfTheRules(String name) {
        try (Transformer model = ModelLoader.open(Golden.ROOT.resolve(name), ScalarKernels.float64())) {
            if (!(model.finalNorm() instanceof Norm.Normalise(NormParameters norm))) {
                assertThrows(IllegalArgumentException.class, () -> new NormErrors(model));
                return;
            }
            int[] twin = {5, 6, 7, 8};
            var groups = List.of(new NormErrors.Group("a", prompts(model, 1)), new NormErrors.Group("b", prompts(model, 2)),
                    new NormErrors.Group("twins", List.of(twin, twin)));
            Map<NormRule, NormErrors.RuleErrors> errors = new NormErrors(model).of(groups, Observable.difference("n", 3, 9));
            var frozen = errors.get(NormRule.FROZEN);
            assertEquals(0, frozen.ownError(), 1e-9, "with 1/std held constant a norm is linear");
            var paper = errors.get(NormRule.PAPER);
            if (norm.kind() == NormParameters.Kind.RMS) {
                assertEquals(0, paper.ownError(), 1e-3, "an RMS norm is not centred, so that only epsilon is left");
            } else {
                assertTrue(paper.ownError() > 1e-4, "the paper's rule leaves out the centring");
            }
            assertTrue(errors.get(NormRule.WEIGHT_ONLY).ownError() > 1e-3);
            assertEquals(1, errors.get(NormRule.EXACT).cosine(), 1e-12);
            assertEquals(0, errors.get(NormRule.WEIGHT_ONLY).angle(), 1e-6);
            for (var rule : errors.values()) {
                assertEquals(0, rule.crossError()[2][2], 1e-9, "a prompt predicts its twin");
                assertTrue(rule.crossError()[0][1] > 0 && rule.cosine() > 0 && rule.angle() < Math.PI / 2);
            }
        }
    }

    @Test
    void boundHoldsForRandomVectors() {
        Random random = new Random(3);
        for (int d : new int[] {8, 40, 300}) {
            double angle = 0;
            double square = 0;
            int rounds = 3000;
            for (int i = 0; i < rounds; i++) {
                double[] x = random.doubles(d).map(u -> random.nextGaussian()).toArray();
                double[] y = random.doubles(d).map(u -> random.nextGaussian()).toArray();
                double cosine = Vectors.cosine(y, layerNormPullBack(x, y));
                angle += Math.acos(cosine) / rounds;
                square += cosine * cosine / rounds;
            }
            System.out.printf("d = %d: mean angle %.4f, bound %.4f; mean cos^2 %.5f, (d-2)/d = %.5f%n",
                    d, angle, NormErrors.angleBound(d), square, (d - 2.0) / d);
            assertTrue(angle < NormErrors.angleBound(d));
            assertEquals((d - 2.0) / d, square, 0.2 / d);
        }
    }

    /** {@code P (I - u u^T) y}, up to a positive factor. */
    private static double[] layerNormPullBack(double[] x, double[] y) {
        double[] u = centred(x);
        double[] pulled = y.clone();
        Vectors.addScaled(-Vectors.dot(u, y) / Vectors.dot(u, u), u, pulled);
        return centred(pulled);
    }

    private static double[] centred(double[] x) {
        double mean = Arrays.stream(x).average().orElseThrow();
        return Arrays.stream(x).map(v -> v - mean).toArray();
    }
}

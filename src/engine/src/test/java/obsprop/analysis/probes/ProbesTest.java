package obsprop.analysis.probes;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import obsprop.analysis.statistics.Vectors;
import obsprop.kernel.scalar.ScalarKernels;
import obsprop.model.ActivationCache;
import obsprop.model.Batch;
import obsprop.model.Point;
import obsprop.model.Transformer;
import obsprop.model.family.ModelLoader;
import obsprop.testing.Golden;
import obsprop.testing.Measured;
import org.junit.jupiter.api.Test;

class ProbesTest {
    /** The minimum by hand: one feature, x = +-1 with labels by sign, so that lambda w = 2 / (1 + e^w) and b = 0. */
    @Test
    void findsAMinimumKnownInClosedForm() {
        var model = LogisticRegression.train(new double[][] {{1}, {-1}}, new boolean[] {true, false}, 1);
        double w = model.weights()[0];
        assertEquals(2 / (1 + Math.exp(w)), w, 1e-10);
        assertEquals(0, model.intercept(), 1e-10);
    }

    /** At the result the gradient, by central differences of the objective written anew, vanishes. */
    @Test
    void gradientVanishesAtTheResult() {
        for (int seed = 0; seed < 12; seed++) {
            Random random = new Random(seed);
            int n = 4 + random.nextInt(60);
            int d = 1 + random.nextInt(90);
            double scale = Math.pow(10, random.nextInt(4) - 1);
            double[][] x = IntStream.range(0, n)
                    .mapToObj(i -> random.doubles(d).map(u -> scale * random.nextGaussian()).toArray())
                    .toArray(double[][]::new);
            boolean[] positive = new boolean[n];
            for (int i = 0; i < n; i++) {
                positive[i] = i % 2 == 0 ^ random.nextInt(8) == 0;
            }
            positive[0] = true;
            positive[1] = false;
            double lambda = Math.pow(10, random.nextInt(4) - 2);
            var model = LogisticRegression.train(x, positive, lambda);
            double[] theta = Arrays.copyOf(model.weights(), d + 1);
            theta[d] = model.intercept();
            double atZero = largest(gradient(new double[d + 1], x, positive, lambda));
            double atResult = largest(gradient(theta, x, positive, lambda));
            System.out.printf("n %d, d %d, scale %.0e, lambda %.0e: gradient %.1e, from %.1e%n",
                    n, d, scale, lambda, atResult, atZero);
            assertTrue(atResult <= 1e-7 * atZero, "the gradient is " + atResult + ", was " + atZero);
        }
    }

    private static double largest(double[] values) {
        return Arrays.stream(values).map(Math::abs).max().orElseThrow();
    }

    private static double[] gradient(double[] theta, double[][] x, boolean[] positive, double lambda) {
        double[] gradient = new double[theta.length];
        for (int j = 0; j < theta.length; j++) {
            double step = 1e-3 / (1 + largest(x[0]));
            // Fourth order, so that neither rounding nor truncation hides a gradient of 1e-8 of its size.
            double near = change(theta, j, step, x, positive, lambda) / (2 * step);
            double far = change(theta, j, 2 * step, x, positive, lambda) / (4 * step);
            gradient[j] = (4 * near - far) / 3;
        }
        return gradient;
    }

    private static double change(double[] theta, int j, double step, double[][] x, boolean[] positive, double lambda) {
        double[] ahead = theta.clone();
        ahead[j] += step;
        double[] behind = theta.clone();
        behind[j] -= step;
        return objective(ahead, x, positive, lambda) - objective(behind, x, positive, lambda);
    }

    private static double objective(double[] theta, double[][] x, boolean[] positive, double lambda) {
        double sum = 0;
        int d = theta.length - 1;
        for (int j = 0; j < d; j++) {
            sum += lambda / 2 * theta[j] * theta[j];
        }
        for (int i = 0; i < x.length; i++) {
            double z = theta[d] + Vectors.dot(Arrays.copyOf(theta, d), x[i]);
            double m = positive[i] ? z : -z;
            sum += m > 0 ? Math.log1p(Math.exp(-m)) : -m + Math.log1p(Math.exp(m));
        }
        return sum;
    }

    @Test
    void refusesOneClassAlone() {
        assertThrows(IllegalArgumentException.class,
                () -> LogisticRegression.train(new double[][] {{1}, {2}}, new boolean[2], 1));
    }

    /** Classes shifted along a known direction: each probe comes close to the best possible area, the trained ones less. */
    @Test
    void comparesAVectorWithTrainedProbes() {
        int d = 30;
        Random random = new Random(4);
        double[] direction = random.doubles(d).map(u -> random.nextGaussian()).toArray();
        double norm = Vectors.norm(direction);
        double[][] x = new double[800][];
        boolean[] positive = new boolean[800];
        for (int i = 0; i < x.length; i++) {
            positive[i] = i % 2 == 0;
            x[i] = random.doubles(d).map(u -> random.nextGaussian()).toArray();
            Vectors.addScaled((positive[i] ? 1 : -1) / norm, direction, x[i]);
        }
        ProbeOptions options = new ProbeOptions(40, 1, 300, 0.95, 5);
        ProbeComparison result = ProbeComparison.of(x, positive, direction, options);
        // Phi(2/sqrt(2)) for scores that differ by two standard deviations.
        assertEquals(0.92135, result.vector().auc(), 0.03);
        assertTrue(result.vector().interval().contains(0.92135));
        assertTrue(result.vector().auc() > result.logisticRegression().auc());
        assertTrue(result.logisticRegression().auc() > 0.75 && result.differenceOfMeans().auc() > 0.75);
        assertTrue(result.differenceOfMeans().cosine() > 0.5);
        assertEquals(80, result.trained());
        assertEquals(360, result.positives());
        assertEquals(360, result.negatives());
        assertEquals(result, ProbeComparison.of(x, positive, direction, options), "not a function of the seed");
        assertThrows(IllegalArgumentException.class, () -> ProbeComparison.of(
                x, positive, direction, new ProbeOptions(400, 1, 10, 0.95, 1)));
    }

    @Test
    void poolsTokensOfEachTextByItself() {
        for (String name : List.of("gpt_neo", "gptj", "opt-postnorm")) {
            try (Transformer model = ModelLoader.open(Golden.ROOT.resolve(name), ScalarKernels.float64());
                    Measured measured = new Measured("pooled activations, " + name)) {
                List<int[]> texts = List.of(new int[] {1, 2, 3, 4, 5}, new int[] {9}, new int[] {7, 8, 7});
                int layers = model.config().nLayers();
                for (int l = 0; l <= layers; l++) {
                    for (Point point : Point.values()) {
                        if (point == Point.INPUT || l < layers && model.block(l).hasMiddle()) {
                            check(model, texts, l, point, measured);
                        }
                    }
                }
            }
        }
    }

    @Test
    void siteThatAModelLacksIsRefused() {
        try (Transformer parallel = ModelLoader.open(Golden.ROOT.resolve("gptj"), ScalarKernels.float64())) {
            int layers = parallel.config().nLayers();
            for (int[] site : new int[][] {{0, 1}, {layers, 1}, {layers + 1, 0}, {-1, 0}}) {
                assertThrows(IllegalArgumentException.class, () -> PooledActivations.of(
                        parallel, List.of(new int[] {1}), site[0], Point.values()[site[1]], PooledActivations.Pooling.MEAN));
            }
        }
    }

    private static void check(Transformer model, List<int[]> texts, int layer, Point point, Measured measured) {
        double[][] mean = PooledActivations.of(model, texts, layer, point, PooledActivations.Pooling.MEAN);
        double[][] last = PooledActivations.of(model, texts, layer, point, PooledActivations.Pooling.LAST);
        for (int i = 0; i < texts.size(); i++) {
            int length = texts.get(i).length;
            try (ActivationCache cache = model.forward(Batch.of(texts.get(i)))) {
                var x = cache.residual(layer, point);
                double[] expected = new double[model.config().dModel()];
                for (int t = 0; t < length; t++) {
                    Vectors.addScaled(1.0 / length, x.select(0, t).toDoubles(), expected);
                }
                measured.check("mean", mean[i], expected, 1e-12);
                measured.check("last", last[i], x.select(0, length - 1).toDoubles(), 1e-12);
            }
        }
    }
}

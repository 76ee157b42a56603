package obsprop.analysis.steering;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import obsprop.analysis.scores.ScoredVector;
import obsprop.analysis.statistics.Vectors;
import obsprop.kernel.Kernels;
import obsprop.kernel.scalar.ScalarKernels;
import obsprop.model.ActivationCache;
import obsprop.model.Batch;
import obsprop.model.Point;
import obsprop.model.Transformer;
import obsprop.model.family.ModelLoader;
import obsprop.propagation.Observable;
import obsprop.propagation.Propagator;
import obsprop.testing.Golden;
import obsprop.testing.Measured;
import obsprop.testing.Tensors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class SteeringTest {
    private static final Kernels DOUBLE = ScalarKernels.float64();

    static List<String> fixtures() {
        return Golden.names();
    }

    /**
     * Two prompts that differ in their last token differ in the residual stream at the last position only. Steering one
     * by that difference, at any site, must give the other one's logits.
     */
    @ParameterizedTest
    @MethodSource("fixtures")
    void steeringByTheDifferenceOfTwoPromptsTurnsOneIntoTheOther(String name) {
        try (Transformer model = ModelLoader.open(Golden.ROOT.resolve(name), DOUBLE)) {
            int[] prompt = new Random(1).ints(9, 0, model.config().dVocab()).toArray();
            int[] other = prompt.clone();
            other[8] = (prompt[8] + 1) % model.config().dVocab();
            try (ActivationCache a = model.forward(Batch.of(prompt));
                    ActivationCache b = model.forward(Batch.of(other));
                    Measured measured = new Measured("steering, " + name)) {
                double[] expected = lastLogits(model, b);
                for (int l = 0; l <= model.config().nLayers(); l++) {
                    for (Point point : Point.values()) {
                        if (point == Point.INPUT || l < model.config().nLayers() && model.block(l).hasMiddle()) {
                            double[] from = last(a, l, point);
                            double[] to = last(b, l, point);
                            checkAt(model, prompt, new ScoredVector("difference", l, point, difference(to, from)),
                                    Vectors.dot(difference(to, from), to), expected, measured);
                        }
                    }
                }
            }
        }
    }

    private static void checkAt(
            Transformer model, int[] prompt, ScoredVector vector, double otherScore, double[] expected, Measured measured) {
        int last = prompt.length - 1;
        try (Steering steering = new Steering(model, prompt, vector)) {
            for (Edit edit : List.of(
                    new Edit.Add(1), new Edit.Pairwise(otherScore, 1), new Edit.Set(otherScore))) {
                var outcome = steering.steer(edit, List.of(last));
                measured.check(vector.layer() + " " + vector.point() + " " + edit, outcome.after().logits(), expected, 1e-9);
                double kl = IntStream.range(0, expected.length)
                        .mapToDouble(i -> Math.exp(steering.before().logProbabilities()[i])
                                * (steering.before().logProbabilities()[i] - Distribution.of(expected).logProbabilities()[i]))
                        .sum();
                measured.check("KL", outcome.divergence(), kl, 1e-9);
            }
            var there = steering.steer(new Edit.Pairwise(otherScore, 2), List.of(last));
            measured.check("factor 2", there.after().logits(),
                    steering.steer(new Edit.Add(2), List.of(last)).after().logits(), 1e-9);
        }
    }

    private static double[] lastLogits(Transformer model, ActivationCache cache) {
        int last = cache.segments().rows() - 1;
        return new Propagator(model)
                .logits(cache.residual(model.config().nLayers()).slice(0, last, last + 1)).toDoubles();
    }

    private static double[] last(ActivationCache cache, int layer, Point point) {
        return cache.residual(layer, point).select(0, cache.segments().rows() - 1).toDoubles();
    }

    private static double[] difference(double[] a, double[] b) {
        double[] d = a.clone();
        Vectors.addScaled(-1, b, d);
        return d;
    }

    @Test
    void editsOfNothingChangeNothing() {
        try (Transformer model = ModelLoader.open(Golden.ROOT.resolve("llama"), DOUBLE)) {
            int d = model.config().dModel();
            var vector = new ScoredVector("random", 1, Point.MIDDLE, Tensors.random(new Random(2), 1, d));
            Observable n = Observable.difference("n", 3, 8);
            try (Steering steering = new Steering(model, new int[] {5, 9, 2, 7}, vector)) {
                double own = steering.scores()[2];
                for (Edit edit : List.of(new Edit.Add(0), new Edit.Set(own), new Edit.Pairwise(44, 0))) {
                    var outcome = steering.steer(edit, List.of(2));
                    assertEquals(outcome.before(n), outcome.after(n), 1e-12);
                    assertEquals(0, outcome.divergence(), 1e-12);
                }
                var out = steering.steer(new Edit.ProjectOut(), List.of(0, 1, 2, 3));
                var zero = steering.steer(new Edit.Set(0), List.of(0, 1, 2, 3));
                assertEquals(out.after(n), zero.after(n));
                assertTrue(out.divergence() > 0);
            }
        }
    }

    @Test
    void lengthOfTheVectorDoesNotMatterWhereScoresAreSetOrExchanged() {
        try (Transformer model = ModelLoader.open(Golden.ROOT.resolve("gptj"), DOUBLE)) {
            double[] y = Tensors.random(new Random(3), 1, model.config().dModel());
            double[] twice = Arrays.stream(y).map(v -> 2 * v).toArray();
            int[] prompt = {4, 8, 15, 16, 23};
            try (Steering once = new Steering(model, prompt, new ScoredVector("y", 2, Point.INPUT, y));
                    Steering doubled = new Steering(model, prompt, new ScoredVector("2y", 2, Point.INPUT, twice))) {
                double[] a = once.steer(new Edit.Pairwise(1.5, 2), List.of(1, 4)).after().logits();
                double[] b = doubled.steer(new Edit.Pairwise(3, 2), List.of(1, 4)).after().logits();
                for (int i = 0; i < a.length; i++) {
                    assertEquals(a[i], b[i], 1e-11);
                }
            }
        }
    }

    @Test
    void divergenceIsSummedAndDirected() {
        Distribution p = Distribution.of(new double[] {Math.log(0.5), Math.log(0.25), Math.log(0.25)});
        Distribution q = Distribution.of(new double[] {1 + Math.log(0.1), 1 + Math.log(0.1), 1 + Math.log(0.8)});
        assertEquals(0.5 * Math.log(5) + 0.25 * Math.log(2.5) + 0.25 * Math.log(0.25 / 0.8), p.divergenceTo(q), 1e-14);
        assertEquals(List.of(0, 1), p.top(2).stream().map(Distribution.Candidate::token).toList());
        assertEquals(0.8, q.top(1).getFirst().probability(), 1e-14);
    }

    @Test
    void refusesWhatMakesNoSense() {
        try (Transformer model = ModelLoader.open(Golden.ROOT.resolve("gpt2"), DOUBLE)) {
            int d = model.config().dModel();
            assertThrows(IllegalArgumentException.class,
                    () -> new Steering(model, new int[] {1}, new ScoredVector("zero", 0, Point.INPUT, new double[d])));
            var vector = new ScoredVector("v", 0, Point.INPUT, Tensors.random(new Random(4), 1, d));
            try (Steering steering = new Steering(model, new int[] {1, 2}, vector)) {
                assertThrows(IllegalArgumentException.class, () -> steering.steer(new Edit.Add(1), List.of(2)));
            }
        }
    }
}

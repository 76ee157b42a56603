package obsprop.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import obsprop.kernel.Kernels;
import obsprop.kernel.Segments;
import obsprop.kernel.scalar.ScalarKernels;
import obsprop.model.family.ModelLoader;
import obsprop.model.layer.Rules;
import obsprop.propagation.Observable;
import obsprop.propagation.Propagator;
import obsprop.propagation.Rerun;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;
import obsprop.testing.Agreement;
import obsprop.testing.Backends;
import obsprop.testing.Derivatives;
import obsprop.testing.Golden;
import obsprop.testing.Measured;
import obsprop.testing.Tensors;
import obsprop.testing.Tolerance;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What holds of forward and VJP whatever the family: ragged batches, many cotangents, what is kept. */
class TransformerTest {
    /** One fixture for each kind of block and each kind of attention. */
    private static final List<String> KINDS = List.of("gpt_neo", "gptj", "gemma3_text", "olmo2", "opt-postnorm");

    static Stream<String> kinds() {
        return KINDS.stream();
    }

    static Stream<Arguments> kindsOnBackends() {
        return KINDS.stream().flatMap(name -> Backends.all().map(k -> Arguments.of(name, k)));
    }

    @ParameterizedTest(autoCloseArguments = false)
    @MethodSource("kindsOnBackends")
    void raggedBatchIsItsPrompts(String name, Kernels kernels) {
        int[][] prompts = prompts(name, 5, 1, Golden.tokens(name), 13);
        try (Arena arena = Arena.ofShared();
                Transformer model = open(name, kernels);
                ActivationCache together = model.forward(Batch.of(prompts))) {
            Tensor logits = model.logits(together, arena);
            List<Propagator.Target> lasts = lasts(together.segments().count(), together);
            Tensor gradients = new Propagator(model).gradients(together, lasts, Rules.EXACT, arena);
            for (int b = 0; b < prompts.length; b++) {
                int from = together.segments().start(b);
                int to = together.segments().start(b + 1);
                try (ActivationCache alone = model.forward(Batch.of(prompts[b]))) {
                    same(model, model.logits(alone, arena), logits.slice(0, from, to), "logits of prompt " + b);
                    Tensor one = new Propagator(model).gradients(alone, lasts(1, alone), Rules.EXACT, arena);
                    same(model, one, gradients.slice(0, b, b + 1).slice(2, from, to), "gradient of prompt " + b);
                    Tensor elsewhere = gradients.slice(0, b, b + 1).slice(2, 0, from);
                    assertTrue(Arrays.stream(elsewhere.toDoubles()).allMatch(g -> g == 0), "leaks between prompts");
                }
            }
        }
    }

    @ParameterizedTest(autoCloseArguments = false)
    @MethodSource("kindsOnBackends")
    void cotangentsAtOnceAreCotangentsOneByOne(String name, Kernels kernels) {
        try (Arena arena = Arena.ofShared();
                Transformer model = open(name, kernels);
                ActivationCache cache = model.forward(Batch.of(prompts(name, 9, 4)))) {
            List<Propagator.Target> targets = new ArrayList<>();
            for (int k = 0; k < 5; k++) {
                targets.add(new Propagator.Target(Observable.difference("k", k, model.config().dVocab() - 1 - k), (5 * k + 3) % 13));
            }
            for (Rules rules : List.of(Rules.EXACT, Rules.FROZEN_BOTH)) {
                Tensor together = new Propagator(model).gradients(cache, targets, rules, arena);
                for (int k = 0; k < targets.size(); k++) {
                    Tensor one = new Propagator(model).gradients(cache, targets.subList(k, k + 1), rules, arena);
                    assertArrayEquals(one.toDoubles(), together.slice(0, k, k + 1).toDoubles(), "cotangent " + k);
                }
            }
        }
    }

    /** At one position the deepest MLP sees those rows alone; a vector of zeros elsewhere makes it see all. */
    @ParameterizedTest(autoCloseArguments = false)
    @MethodSource("kindsOnBackends")
    void cotangentsAtOnePositionAreCotangentsAnywhere(String name, Kernels kernels) {
        var random = new Random(6);
        Batch batch = Batch.of(prompts(name, 7, 7));
        for (Keep keep : List.of(Keep.EVERYTHING, Keep.RESIDUALS)) {
            try (Arena arena = Arena.ofShared();
                    Transformer model = open(name, kernels);
                    ActivationCache cache = model.forward(batch, keep, model.config().nLayers());
                    Backward backward = new Backward(cache, 3)) {
                int layers = model.config().nLayers();
                int d = model.config().dModel();
                List<Injection> injections = new ArrayList<>();
                for (int k = 0; k < 4; k++) {
                    Tensor vector = Tensors.random(arena, kernels.activationType(), random, 1, 1, d);
                    injections.add(new Injection(k, layers, Point.INPUT, 7 * (k % 2) + 4, vector));
                    injections.add(new Injection(k, layers - 1, Point.INPUT, k, vector));
                }
                List<double[]> narrow = sweep(backward, injections);
                injections.add(new Injection(1, layers, Point.INPUT, 2, kernels.allocate(arena, 1, d)));
                List<double[]> wide = sweep(backward, injections);
                for (int i = 0; i < wide.size(); i++) {
                    assertArrayEquals(wide.get(i), narrow.get(i), "site " + i);
                }
            }
        }
    }

    private static List<double[]> sweep(Backward backward, List<Injection> injections) {
        List<double[]> seen = new ArrayList<>();
        backward.sweep(4, injections, Rules.EXACT, 0, (layer, point, first, d) -> seen.add(d.toDoubles()));
        return seen;
    }

    /** What is to be read at one position is there as in a full pass, and cotangents enter nowhere else. */
    @ParameterizedTest(autoCloseArguments = false)
    @MethodSource("kindsOnBackends")
    void readAtOnePosition(String name, Kernels kernels) {
        Batch batch = Batch.of(prompts(name, 5, 5, 5));
        try (Arena arena = Arena.ofShared();
                Transformer model = open(name, kernels);
                ActivationCache full = model.forward(batch);
                ActivationCache read = model.allocateToRead(batch.segments(), 3);
                Backward backward = new Backward(read, 1)) {
            int layers = model.config().nLayers();
            for (int run = 0; run < 2; run++) {
                model.forward(batch, read);
                for (int row = 3; row < 15; row += 5) {
                    assertArrayEquals(full.residual(layers).select(0, row).toDoubles(),
                            read.residual(layers).select(0, row).toDoubles(), "row " + row);
                }
                for (int l = 0; l < layers; l++) {
                    assertArrayEquals(full.residual(l).toDoubles(), read.residual(l).toDoubles(), "layer " + l);
                }
            }
            var elsewhere = new Injection(0, layers, Point.INPUT, 4, kernels.allocate(arena, 1, model.config().dModel()));
            if (model.block(layers - 1).hasMiddle()) {
                String message = assertThrows(IllegalArgumentException.class, () ->
                        backward.prepare(1, List.of(elsewhere), Rules.EXACT, 0)).getMessage();
                assertTrue(message.contains("row 4 of the final residual stream"), message);
            }
            assertThrows(IllegalArgumentException.class, () -> model.allocateToRead(batch.segments(), 5));
            assertThrows(IllegalArgumentException.class, () -> model.allocateToRead(batch.segments(), -1));
            assertThrows(IllegalArgumentException.class, () -> model.allocateToRead(new Segments(5, 4), 3));
        }
    }

    @ParameterizedTest(autoCloseArguments = false)
    @MethodSource("kinds")
    void thousandObservablesGoThroughInBoundedMemory(String name) {
        Kernels kernels = ScalarKernels.float32();
        try (Arena arena = Arena.ofShared();
                Transformer model = open(name, kernels);
                ActivationCache cache = model.forward(Batch.of(prompts(name, 2)));
                Backward backward = new Backward(cache, 7)) {
            Tensor ones = kernels.allocate(arena, 1, model.config().dModel());
            ones.set(1, 0, 0);
            int last = model.config().nLayers();
            List<Injection> injections = IntStream.range(0, 1000)
                    .mapToObj(k -> new Injection(k, last, Point.INPUT, 1, ones))
                    .toList();
            List<double[]> seen = new ArrayList<>();
            backward.sweep(1000, injections, Rules.EXACT, 0, (layer, point, first, d) -> {
                assertTrue(d.size(0) <= 7 * 2, "more cotangents at once than the chunk");
                if (layer == 0 && point == Point.INPUT) {
                    for (int k = 0; k < d.size(0) / 2; k++) {
                        seen.add(d.slice(0, 2 * k, 2 * k + 2).toDoubles());
                    }
                }
            });
            assertEquals(1000, seen.size());
            seen.forEach(d -> assertArrayEquals(seen.getFirst(), d));
        }
    }

    @ParameterizedTest(autoCloseArguments = false)
    @MethodSource("kindsOnBackends")
    void keepingOnlyResidualsChangesNothing(String name, Kernels kernels) {
        Batch batch = Batch.of(prompts(name, 8, 3));
        try (Arena arena = Arena.ofShared();
                Transformer model = open(name, kernels);
                ActivationCache everything = model.forward(batch);
                ActivationCache residuals = model.forward(batch, Keep.RESIDUALS, model.config().nLayers());
                ActivationCache last = model.forward(batch, Keep.LAST, model.config().nLayers() - 1)) {
            var propagator = new Propagator(model);
            assertArrayEquals(
                    propagator.gradients(everything, lasts(2, everything), Rules.EXACT, arena).toDoubles(),
                    propagator.gradients(residuals, lasts(2, residuals), Rules.EXACT, arena).toDoubles());
            int deepest = last.stopLayer();
            assertArrayEquals(everything.residual(deepest).toDoubles(), last.residual(deepest).toDoubles());
            assertThrows(IllegalArgumentException.class, () -> last.residual(deepest + 1));
            // The block that ran last can be looked into, no other.
            if (deepest > 1) {
                assertThrows(IllegalArgumentException.class, () -> last.state(0));
            }
        }
    }

    @ParameterizedTest(autoCloseArguments = false)
    @MethodSource("kindsOnBackends")
    void cacheCanBeFilledAgain(String name, Kernels kernels) {
        try (Arena arena = Arena.ofShared();
                Transformer model = open(name, kernels);
                ActivationCache first = model.forward(Batch.of(prompts(name, 6, 9)));
                ActivationCache again = model.forward(Batch.of(new int[6], new int[9]))) {
            model.forward(Batch.of(prompts(name, 6, 9)), again);
            assertArrayEquals(model.logits(first, arena).toDoubles(), model.logits(again, arena).toDoubles());
            assertThrows(IllegalArgumentException.class, () -> model.forward(Batch.of(prompts(name, 6, 8)), again));
        }
    }

    /** At the input and the middle of every block, by central differences; not for the ReLU of OPT, which has kinks. */
    @ParameterizedTest
    @ValueSource(strings = {"gpt_neo", "gptj", "gemma2", "gemma3_text", "olmo2", "llama3"})
    void exactGradientIsTheDerivative(String name) {
        Batch batch = Batch.of(prompts(name, 6));
        Observable n = new Observable("n", new int[] {3, 10, Golden.vocabulary(name) - 1}, new double[] {1, -0.5, 0.25});
        var random = new Random(5);
        try (Transformer model = open(name, ScalarKernels.float64());
                ActivationCache cache = model.forward(batch);
                Rerun rerun = new Rerun(model, batch.segments());
                Measured measured = new Measured(name + ", gradient of the whole model")) {
            var propagator = new Propagator(model);
            propagator.sweep(cache, List.of(new Propagator.Target(n, 5)), Rules.EXACT, 0, (layer, point, first, d) -> {
                for (int i = 0; i < 4; i++) {
                    int row = random.nextInt(6);
                    int column = random.nextInt(model.config().dModel());
                    double derivative = Derivatives.along(step -> new double[] {n.value(propagator.logits(
                            rerun.run(cache, layer, point, x -> x.set(x.get(row, column) + step[0], row, column))
                                    .slice(0, 5, 6)).select(0, 0))}, new double[1], new double[] {1})[0];
                    measured.check(layer + " " + point, d.get(row, column), derivative,
                            Tolerance.ofDifferences(100));
                }
            });
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"gptj", "phi"})
    void parallelBlocksHaveNoMiddle(String name) {
        Kernels kernels = ScalarKernels.float32();
        try (Arena arena = Arena.ofShared();
                Transformer model = open(name, kernels);
                ActivationCache cache = model.forward(Batch.of(prompts(name, 2)));
                Backward backward = new Backward(cache, 1)) {
            var injection = new Injection(0, 1, Point.MIDDLE, 0, kernels.allocate(arena, 1, model.config().dModel()));
            String message = assertThrows(IllegalArgumentException.class, () ->
                    backward.sweep(1, List.of(injection), Rules.EXACT, 0, (l, p, f, d) -> {})).getMessage();
            assertTrue(message.contains("parallel"), message);
        }
    }

    @ParameterizedTest
    @CsvSource({
        "2, 0, INPUT, 0", "-1, 0, INPUT, 0", "0, -2, INPUT, 0", "0, 1, INPUT, 0", "0, 0, MIDDLE, 0", "0, 0, INPUT, 2", "0, 0, INPUT, -1"
    })
    void injectionsOutsideOfASweepAreRefused(int cotangent, int fromStop, Point point, int row) {
        Kernels kernels = ScalarKernels.float32();
        try (Arena arena = Arena.ofShared();
                Transformer model = open("gpt_neo", kernels);
                ActivationCache cache = model.forward(Batch.of(prompts("gpt_neo", 2)), Keep.EVERYTHING, model.config().nLayers() - 1);
                Backward backward = new Backward(cache, 1)) {
            int stop = cache.stopLayer();
            var injection = new Injection(cotangent, stop + fromStop, point, row, kernels.allocate(arena, 1, model.config().dModel()));
            String message = assertThrows(IllegalArgumentException.class, () ->
                    backward.sweep(2, List.of(injection), Rules.EXACT, stop - 1, (l, p, f, d) -> {})).getMessage();
            assertTrue(message.contains("cotangent " + cotangent + " of 2") || message.contains("covers 0.." + stop), message);
        }
    }

    /** A listener may look into a block below, which is run again for it; what the pass leaves is the same. */
    @ParameterizedTest(autoCloseArguments = false)
    @MethodSource("kinds")
    void listenersMayLookIntoBlocksBelow(String name) {
        try (Transformer model = open(name, ScalarKernels.float32());
                ActivationCache plain = model.forward(Batch.of(prompts(name, 4)), Keep.RESIDUALS, model.config().nLayers());
                ActivationCache watched = model.allocate(plain.segments(), Keep.RESIDUALS, model.config().nLayers())) {
            model.forward(Batch.of(prompts(name, 4)), watched, (layer, point, x) -> {
                if (point == Point.INPUT && layer > 0) {
                    watched.state(layer - 1);
                }
            });
            for (int l = 0; l < model.config().nLayers(); l++) {
                assertArrayEquals(plain.state(l).attention().mixed().toDoubles(), watched.state(l).attention().mixed().toDoubles());
            }
            model.forward(Batch.of(prompts(name, 4)), watched, (layer, point, x) -> {
                if (point == Point.INPUT && layer == 1) {
                    watched.state(0);
                }
            });
            assertArrayEquals(plain.state(0).attention().mixed().toDoubles(), watched.state(0).attention().mixed().toDoubles());
        }
    }

    @ParameterizedTest(autoCloseArguments = false)
    @MethodSource("kinds")
    void badPromptsAreRefused(String name) {
        try (Transformer model = open(name, ScalarKernels.float32())) {
            int v = model.config().dVocab();
            assertThrows(IllegalArgumentException.class, () -> model.forward(Batch.of(new int[] {1, v})));
            assertThrows(IllegalArgumentException.class, () -> model.forward(Batch.of(new int[] {-1})));
            assertThrows(IllegalArgumentException.class, () -> Batch.of(new int[0]));
            int[] tooLong = new int[model.config().maxPositions() + 1];
            assertThrows(IllegalArgumentException.class, () -> model.forward(Batch.of(tooLong)));
        }
    }

    /** To the bit on the scalar kernels; the fast ones sum few rows in another order than many. */
    private static void same(Transformer model, Tensor expected, Tensor actual, String what) {
        if (model.kernels() instanceof ScalarKernels) {
            assertArrayEquals(expected.toDoubles(), actual.toDoubles(), what);
        } else {
            // The terms of the longest sum, times the sublayers it goes through.
            int terms = 2 * model.config().nLayers() * Math.max(model.config().dMlp(), model.config().dModel());
            Agreement.check(what, expected, actual, Tolerance.of(DType.F32, terms, 1));
        }
    }

    private static Transformer open(String name, Kernels kernels) {
        Path dir = Golden.ROOT.resolve(name);
        return ModelLoader.open(dir, kernels);
    }

    private static int[][] prompts(String name, int... lengths) {
        var random = new Random(11);
        int vocabulary = Golden.vocabulary(name);
        return Arrays.stream(lengths).mapToObj(t -> random.ints(t, 0, vocabulary).toArray()).toArray(int[][]::new);
    }

    /** The same observable at the last token of each of the first prompts. */
    private static List<Propagator.Target> lasts(int prompts, ActivationCache cache) {
        Observable n = Observable.difference("n", 5, 17);
        return IntStream.range(0, prompts)
                .mapToObj(b -> new Propagator.Target(n, cache.segments().start(b + 1) - 1))
                .toList();
    }
}

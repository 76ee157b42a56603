package obsprop.propagation.path;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.Consumer;
import java.util.stream.IntStream;
import obsprop.kernel.Kernels;
import obsprop.kernel.NormRule;
import obsprop.kernel.scalar.ScalarKernels;
import obsprop.model.ActivationCache;
import obsprop.model.Batch;
import obsprop.model.Keep;
import obsprop.model.Transformer;
import obsprop.model.family.ModelLoader;
import obsprop.model.layer.Rules;
import obsprop.propagation.FeatureVector;
import obsprop.propagation.Observable;
import obsprop.propagation.Path;
import obsprop.propagation.PromptRun;
import obsprop.propagation.Propagator;
import obsprop.propagation.Step;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;
import obsprop.tensor.io.SafetensorsFile;
import obsprop.testing.Agreement;
import obsprop.testing.Golden;
import obsprop.testing.Tensors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

class PathPropagatorTest {
    private final Kernels kernels = ScalarKernels.float32();

    static List<String> directFixtures() {
        return Golden.names().stream().filter(name -> !name.equals("opt-postnorm")).toList();
    }

    /** What the authors' notebook functions return. */
    @ParameterizedTest
    @CsvSource({
        "ln_f_normal_at_clean, output",
        "attn_chain_feature, attn3.0@-1 <= attn1.2@-1",
        "all_heads_feature, attn2.*@-1",
    })
    void notebook(String expected, String path) {
        onFixture("gpt_neo", kernels, (golden, model, arena) -> {
            var reference = SafetensorsFile.open(
                    golden.directory().resolve("reference_notebook.safetensors"), arena);
            var rules = new PathRules(NormRule.EXACT, NormRule.NONE, PatternRule.ONE, MlpPoint.CLEAN);
            try (ActivationCache cache = model.forward(golden.batch())) {
                var run = Runs.of(new PromptRun(cache, 0));
                FeatureVector y = new PathPropagator(model, "gpt_neo")
                        .propagate(golden.observable(), Path.parse(path), rules, run).feature();
                Agreement.check(expected, reference.tensor(expected), tensor(arena, y), Agreement.GOLDEN);
            }
        });
    }

    /** Without norms, the pattern taken as 1, a path of one head is its OV feature: with a prompt and without. */
    @ParameterizedTest
    @MethodSource("directFixtures")
    void headWithoutNorms(String name) {
        onFixture(name, kernels, (golden, model, arena) -> {
            var propagator = new PathPropagator(model, name);
            Tensor expected = golden.tensor("ov_feature");
            try (ActivationCache cache = model.forward(golden.batch(), Keep.RESIDUALS, model.config().nLayers())) {
                for (int h = 0; h < model.config().nHeads(); h++) {
                    Path path = Path.of(Step.Heads.one(1, h, -1));
                    for (Runs runs : List.of(Runs.NONE, Runs.of(new PromptRun(cache, 1)))) {
                        FeatureVector y = propagator.propagate(
                                golden.observable(), path, PathRules.of(NormRule.NONE), runs).feature();
                        Agreement.check(name + ", head " + h, expected.select(0, 1).select(0, h), tensor(arena, y),
                                Agreement.GOLDEN);
                    }
                }
            }
        });
    }

    /** Without those of five layers or more, which have tens of thousands of paths: AlongPathTest proves some of them. */
    static List<String> shallowFixtures() {
        return directFixtures().stream().filter(name -> Golden.layers(name) < 5).toList();
    }

    /** Every path from the output to the embedding, together, is the gradient of the whole model. */
    @ParameterizedTest
    @MethodSource("shallowFixtures")
    void allPathsAddUpToTheGradient(String name) {
        for (PatternRule pattern : List.of(PatternRule.FROZEN, PatternRule.EXACT)) {
            boolean frozen = pattern == PatternRule.FROZEN;
            NormRule norm = frozen ? NormRule.FROZEN : NormRule.EXACT;
            allPathsAddUp(name, PathRules.of(norm).with(pattern), frozen ? Rules.FROZEN_BOTH : Rules.EXACT);
        }
    }

    private void allPathsAddUp(String name, PathRules pathRules, Rules rules) {
        onFixture(name, kernels, (golden, model, arena) -> {
            int tokens = 2;
            int[] other = {5, 1, 4};
            int[] prompt = Arrays.copyOf(golden.prompts("input_ids")[0], tokens);
            try (ActivationCache cache = model.forward(Batch.of(other, prompt))) {
                var propagator = new PathPropagator(model, name);
                Runs runs = Runs.of(new PromptRun(cache, 1));
                Tensor sum = Tensor.allocate(arena, DType.F64, tokens, model.config().dModel());
                int[] count = {0};
                eachPath(model, tokens, path -> {
                    FeatureVector y = propagator.propagate(golden.observable(), path, pathRules, runs).feature();
                    count[0]++;
                    Tensor row = sum.select(0, y.site().position());
                    for (int i = 0; i < y.direction().length; i++) {
                        row.set(row.get(i) + y.direction()[i], i);
                    }
                });
                var target = new Propagator.Target(golden.observable(), other.length + tokens - 1);
                Tensor gradient = new Propagator(model).gradients(cache, List.of(target), rules, arena)
                        .select(0, 0).select(0, 0).slice(0, other.length, other.length + tokens);
                Agreement.check(name + ", " + pathRules.pattern() + ", " + count[0] + " paths", gradient, sum,
                        Agreement.GOLDEN);
            }
        });
    }

    /** Every legal path that ends at the embedding; heads of odd layers one by one, of even layers all at once. */
    private static void eachPath(Transformer model, int tokens, Consumer<Path> visit) {
        grow(model, Path.OUTPUT, tokens - 1, model.config().nLayers() - 1, tokens, visit);
    }

    private static void grow(
            Transformer model, Path path, int destination, int layer, int tokens, Consumer<Path> visit) {
        visit.accept(path.then(new Step.Embedding(destination)));
        for (int l = layer; l >= 0; l--) {
            var spec = model.block(l).attention().spec();
            boolean sequential = model.block(l).hasMiddle();
            Path throughMlp = path.then(new Step.Mlp(l, destination));
            grow(model, throughMlp, destination, l - 1, tokens, visit);
            for (int j = spec.firstKey(destination); j <= destination; j++) {
                for (Step heads : heads(model, l, j)) {
                    grow(model, path.then(heads), j, l - 1, tokens, visit);
                    if (sequential) {
                        grow(model, throughMlp.then(heads), j, l - 1, tokens, visit);
                    }
                }
            }
        }
    }

    private static List<Step> heads(Transformer model, int layer, int token) {
        return layer != 1
                ? List.of(Step.Heads.all(layer, token))
                : IntStream.range(0, model.config().nHeads())
                        .<Step>mapToObj(h -> Step.Heads.one(layer, h, token)).toList();
    }

    @Test
    void sumsAndRefusals() {
        onFixture("gpt2", kernels, (golden, model, arena) -> {
            try (ActivationCache cache = model.forward(golden.batch())) {
                var propagator = new PathPropagator(model, "gpt2");
                var n = golden.observable();
                var frozen = PathRules.of(NormRule.FROZEN);
                Runs runs = Runs.of(new PromptRun(cache, 0));
                FeatureVector a = propagator.propagate(n, Path.parse("attn1.0@3"), frozen, runs).feature();
                FeatureVector b = propagator.propagate(n, Path.parse("attn1.1@3"), frozen, runs).feature();
                FeatureVector both = propagator.propagate(n, Path.parse("attn1.0+1@3"), frozen, runs).feature();
                FeatureVector sum = FeatureVector.sum(List.of(a, b));
                Agreement.check("two heads", tensor(arena, both), tensor(arena, sum), Agreement.GOLDEN);
                assertEquals("attn1.0@3; attn1.1@3", sum.provenance().path());
                FeatureVector elsewhere = propagator.propagate(n, Path.parse("attn1.0@4"), frozen, runs).feature();
                assertThrows(IllegalArgumentException.class, () -> FeatureVector.sum(List.of(a, elsewhere)));
                refused(propagator, n, "mlp1@-1", PathRules.of(NormRule.NONE), Runs.NONE, "needs a prompt");
                refused(propagator, n, "attn1.0@-1", frozen, Runs.NONE, "needs a prompt");
                refused(propagator, n, "mlp1@-1", frozen.with(MlpPoint.BOUNDARY), runs, "needs a corrupted prompt");
            }
        });
    }

    private static void refused(
            PathPropagator propagator, Observable n, String path, PathRules rules, Runs runs, String why) {
        var refusal = assertThrows(IllegalArgumentException.class,
                () -> propagator.propagate(n, Path.parse(path), rules, runs));
        assertTrue(refusal.getMessage().contains(why), refusal.getMessage());
    }

    private static Tensor tensor(Arena arena, FeatureVector y) {
        return Tensors.of(arena, y.direction(), y.direction().length);
    }

    private interface OnFixture {
        void accept(Golden golden, Transformer model, Arena arena);
    }

    private static void onFixture(String name, Kernels kernels, OnFixture test) {
        try (Arena arena = Arena.ofShared()) {
            Golden golden = Golden.open(name, arena);
            try (Transformer model = ModelLoader.open(golden.directory(), kernels)) {
                test.accept(golden, model, arena);
            }
        }
    }
}

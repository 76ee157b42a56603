package obsprop.model;


import java.lang.foreign.Arena;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import obsprop.kernel.Kernels;
import obsprop.model.family.ModelLoader;
import obsprop.model.layer.Rules;
import obsprop.propagation.HeadFeatures;
import obsprop.propagation.Propagator;
import obsprop.tensor.Tensor;
import obsprop.testing.Agreement;
import obsprop.testing.Backends;
import obsprop.testing.Golden;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Every fixture, on every backend that can run here, against the reference implementation. */
class GoldenModelTest {
    private static final Map<String, Rules> RULES = Map.of(
            "grad_exact", Rules.EXACT,
            "grad_frozen_attention", Rules.FROZEN_ATTENTION,
            "grad_frozen_norm", Rules.FROZEN_NORM,
            "grad_frozen_both", Rules.FROZEN_BOTH);

    static Stream<Arguments> fixtures() {
        return Golden.names().stream().flatMap(name -> Backends.all().map(k -> Arguments.of(name, k)));
    }

    @ParameterizedTest(autoCloseArguments = false)
    @MethodSource("fixtures")
    void forward(String name, Kernels kernels) {
        try (Arena arena = Arena.ofShared()) {
            Golden golden = Golden.open(name, arena);
            try (Transformer model = ModelLoader.open(golden.directory(), kernels);
                    ActivationCache cache = model.forward(golden.batch())) {
                int b = cache.segments().count();
                int t = cache.segments().longest();
                int layers = model.config().nLayers();
                Tensor logits = model.logits(cache, arena).unflatten(0, b, t);
                check(name, kernels, "logits", golden, logits);
                for (int l = 0; l <= layers; l++) {
                    Tensor expected = golden.tensor("residual").select(1, l);
                    Agreement.check(kernels, label(name, kernels, "residual " + l), expected,
                            cache.residual(l).unflatten(0, b, t), Agreement.GOLDEN);
                }
                for (int l = 0; l < layers; l++) {
                    for (int p = 0; p < b; p++) {
                        Tensor expected = golden.tensor("pattern").select(0, p).select(0, l);
                        Agreement.check(kernels, label(name, kernels, "pattern " + l), expected,
                                cache.pattern(l, p, arena), Agreement.GOLDEN);
                    }
                }
            }
        }
    }

    @ParameterizedTest(autoCloseArguments = false)
    @MethodSource("fixtures")
    void oneToken(String name, Kernels kernels) {
        try (Arena arena = Arena.ofShared()) {
            Golden golden = Golden.open(name, arena);
            try (Transformer model = ModelLoader.open(golden.directory(), kernels);
                    ActivationCache cache = model.forward(Batch.of(golden.prompts("one_token_ids")))) {
                Tensor logits = model.logits(cache, arena).unflatten(0, cache.segments().count(), 1);
                check(name, kernels, "one_token_logits", golden, logits);
            }
        }
    }

    @ParameterizedTest(autoCloseArguments = false)
    @MethodSource("fixtures")
    void gradients(String name, Kernels kernels) {
        try (Arena arena = Arena.ofShared()) {
            Golden golden = Golden.open(name, arena);
            try (Transformer model = ModelLoader.open(golden.directory(), kernels);
                    ActivationCache cache = model.forward(golden.batch())) {
                int b = cache.segments().count();
                int t = cache.segments().longest();
                var propagator = new Propagator(model);
                for (var rule : RULES.entrySet()) {
                    for (int p = 0; p < b; p++) {
                        var target = new Propagator.Target(golden.observable(), cache.segments().start(p) + t - 1);
                        Tensor gradient = propagator.gradients(cache, List.of(target), rule.getValue(), arena);
                        Tensor mine = gradient.select(0, 0).unflatten(1, b, t).select(1, p);
                        Agreement.check(label(name, kernels, rule.getKey() + " of prompt " + p),
                                golden.tensor(rule.getKey()).select(0, p), mine, Agreement.GOLDEN);
                    }
                }
            }
        }
    }

    @ParameterizedTest(autoCloseArguments = false)
    @MethodSource("fixtures")
    void headFeatures(String name, Kernels kernels) {
        try (Arena arena = Arena.ofShared()) {
            Golden golden = Golden.open(name, arena);
            try (Transformer model = ModelLoader.open(golden.directory(), kernels);
                    HeadFeatures heads = new HeadFeatures(model, 1)) {
                Tensor y = new Propagator(model).unembed(List.of(golden.observable()), arena);
                check(name, kernels, "unembedded_observable", golden, y.select(0, 0));
                ModelConfig c = model.config();
                Tensor features = kernels.allocate(arena, c.nLayers(), 1, c.nHeads(), c.dModel());
                for (int l = 0; l < c.nLayers(); l++) {
                    heads.layer(l, y, features.select(0, l));
                }
                check(name, kernels, "ov_feature", golden, features.select(1, 0));
            }
        }
    }

    private static void check(String name, Kernels kernels, String tensor, Golden golden, Tensor actual) {
        Agreement.check(kernels, label(name, kernels, tensor), golden.tensor(tensor), actual, Agreement.GOLDEN);
    }

    private static String label(String name, Kernels kernels, String what) {
        return name + ", " + Backends.label(kernels) + ", " + what;
    }
}

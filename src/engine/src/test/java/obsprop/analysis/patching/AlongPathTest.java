package obsprop.analysis.patching;

import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.List;
import obsprop.analysis.runs.CachedRun;
import obsprop.kernel.NormRule;
import obsprop.kernel.scalar.ScalarKernels;
import obsprop.model.Transformer;
import obsprop.model.family.ModelLoader;
import obsprop.propagation.FeatureVector;
import obsprop.propagation.Path;
import obsprop.propagation.PromptRun;
import obsprop.propagation.Step;
import obsprop.propagation.error.SelfError;
import obsprop.propagation.path.PathPropagator;
import obsprop.propagation.path.PathRules;
import obsprop.propagation.path.PatternRule;
import obsprop.propagation.path.Runs;
import obsprop.tensor.DType;
import obsprop.testing.Golden;
import obsprop.testing.Tolerance;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Feature vectors against exact patching along the same path: the one is the other's derivative. */
class AlongPathTest {
    /** Paths through the last layers, near enough to the end of the prompt for every window. */
    private static List<Path> paths(Transformer model, int tokens) {
        int top = model.config().nLayers() - 1;
        int head = model.config().nHeads() - 1;
        int end = tokens - 1;
        int near = earlier(model, top, end, 1);
        int far = earlier(model, top - 1, near, 2);
        int beforeEnd = earlier(model, 1, end, 1);
        List<Path> paths = new ArrayList<>(List.of(
                Path.OUTPUT, Path.of(new Step.Mlp(1, -1)), Path.of(Step.Heads.one(1, 0, earlier(model, 1, end, 3))),
                Path.of(Step.Heads.all(1, end)),
                Path.of(new Step.Heads(1, head == 0 ? List.of(0) : List.of(1, 0), beforeEnd), new Step.Mlp(0, beforeEnd)),
                Path.of(Step.Heads.one(top, head / 2, near), Step.Heads.all(top - 1, far), new Step.Embedding(far))));
        int source = earlier(model, top - 1, end, 2);
        Path throughMlp = Path.of(new Step.Mlp(top, -1), Step.Heads.one(top - 1, head, source));
        paths.add(top > 1 ? throughMlp.then(new Step.Mlp(top - 2, source)) : throughMlp);
        if (top > 1) {
            int farther = earlier(model, top - 2, far, 1);
            paths.add(Path.of(Step.Heads.one(top, head / 2, near), Step.Heads.all(top - 1, far),
                    Step.Heads.one(top - 2, 0, farther), new Step.Embedding(farther)));
        }
        return paths;
    }

    /** A token some places earlier, or the first one that the layer still sees from there. */
    private static int earlier(Transformer model, int layer, int token, int places) {
        return Math.max(token - places, model.block(layer).attention().spec().firstKey(token));
    }

    /** Of observables and of what components write, in these fixtures. */
    private static final double LARGEST_VALUE = 30;

    static List<String> fixtures() {
        return Golden.names().stream().filter(name -> !name.equals("opt-postnorm")).toList();
    }

    @ParameterizedTest
    @MethodSource("fixtures")
    void firstOrderOfPatching(String name) {
        try (Arena arena = Arena.ofShared();
                Transformer model = ModelLoader.open(Golden.open(name, arena).directory(), ScalarKernels.float64())) {
            Golden golden = Golden.open(name, arena);
            try (var cache = model.forward(golden.batch())) {
                double worst = 0;
                for (Path path : paths(model, golden.tokens())) {
                    for (PatternRule pattern : List.of(PatternRule.FROZEN, PatternRule.EXACT)) {
                        worst = Math.max(worst, fall(golden, new CachedRun(cache, 1), path, pattern));
                    }
                }
                System.out.printf("%s: a hundredth of the step leaves at most %.3f of the error%n", name, worst);
            }
        }
    }

    /** The share of the error that is left when the step shrinks a hundredfold: a hundredth, to first order. */
    private static double fall(Golden golden, CachedRun clean, Path path, PatternRule pattern) {
        PathRules rules = PathRules.of(NormRule.EXACT).with(pattern);
        FeatureVector y = new PathPropagator(clean.model(), "")
                .propagate(golden.observable(), path, rules, Runs.of(new PromptRun(clean.cache(), clean.prompt())))
                .feature();
        PatchMode mode = pattern == PatternRule.EXACT ? PatchMode.FULL : PatchMode.OV_ONLY;
        var self = new SelfError(y, new AlongPath(clean, golden.observable(), path, mode));
        var coarse = self.measure(1e-2);
        var fine = self.measure(1e-4);
        double rounding = Tolerance.of(DType.F64, clean.model().config().dMlp(), LARGEST_VALUE) / fine.predicted();
        double left = Math.max(0, fine.error() - rounding) / coarse.error();
        assertTrue(coarse.error() < 0.5, () -> path + ", " + pattern + ": " + coarse);
        assertTrue(left < 1.0 / 30, () -> path + ", " + pattern + ": " + coarse + ", then " + fine);
        return left;
    }

    @Test
    void refusesIllegalPaths() {
        try (Arena arena = Arena.ofShared();
                Transformer model = ModelLoader.open(Golden.open("gptj", arena).directory(), ScalarKernels.float32())) {
            Golden golden = Golden.open("gptj", arena);
            try (var cache = model.forward(golden.batch())) {
                Path path = Path.parse("mlp1@-1 <= attn1.0@3");
                assertThrows(IllegalArgumentException.class, () -> new AlongPath(
                        new CachedRun(cache, 0), golden.observable(), path, PatchMode.FULL));
            }
        }
    }
}

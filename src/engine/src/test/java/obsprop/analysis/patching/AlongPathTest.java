package obsprop.analysis.patching;

import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.util.List;
import obsprop.analysis.runs.CachedRun;
import obsprop.kernel.NormRule;
import obsprop.kernel.scalar.ScalarKernels;
import obsprop.model.Transformer;
import obsprop.model.family.ModelLoader;
import obsprop.propagation.FeatureVector;
import obsprop.propagation.Path;
import obsprop.propagation.PromptRun;
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
    private static final List<String> PATHS = List.of(
            "output", "mlp1@-1", "attn1.0@18", "attn1.*@21", "attn1.1+0@20 <= mlp0@20", "mlp2@-1 <= attn1.2@19 <= mlp0@19",
            "attn2.1@20 <= attn1.*@18 <= attn0.0@17 <= embedding@17");

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
                for (String text : PATHS) {
                    for (PatternRule pattern : List.of(PatternRule.FROZEN, PatternRule.EXACT)) {
                        worst = Math.max(worst, fall(golden, new CachedRun(cache, 1), Path.parse(text), pattern));
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

package obsprop.propagation.error;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import obsprop.kernel.NormRule;
import obsprop.kernel.scalar.ScalarKernels;
import obsprop.model.Point;
import obsprop.model.Transformer;
import obsprop.model.family.ModelLoader;
import obsprop.propagation.FeatureVector;
import obsprop.propagation.Path;
import obsprop.propagation.PromptRun;
import obsprop.propagation.Provenance;
import obsprop.propagation.Site;
import obsprop.propagation.Step;
import obsprop.propagation.path.PathPropagator;
import obsprop.propagation.path.PathRules;
import obsprop.propagation.path.PatternRule;
import obsprop.propagation.path.Runs;
import obsprop.testing.Golden;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class SelfErrorTest {
    private static final FeatureVector UNIT = new FeatureVector(
            new double[] {0.6, 0.8}, new Site(0, Point.INPUT, 0), new Provenance("", "", "", "", "", ""));

    /** With {@code f(s) = s + s^2/10} the error of a step s is s/10. */
    @Test
    void largestStepOfKnownEffects() {
        var quadratic = new SelfError(UNIT, change -> along(change) + along(change) * along(change) / 10);
        assertEquals(0.4, quadratic.measure(4).error(), 1e-12);
        var largest = quadratic.largestStep(0.2, 1);
        assertEquals(SelfError.Reach.FOUND, largest.reach());
        assertEquals(2, largest.step(), 1e-4);
        var linear = new SelfError(UNIT, SelfErrorTest::along);
        assertEquals(SelfError.Reach.EVERYWHERE, linear.largestStep(0.2, 1).reach());
        var other = new SelfError(UNIT, change -> 2 * along(change));
        assertEquals(new SelfError.Largest(0.2, 0, SelfError.Reach.NOWHERE), other.largestStep(0.2, 1));
        var zero = new FeatureVector(new double[2], UNIT.site(), UNIT.provenance());
        assertThrows(IllegalArgumentException.class, () -> new SelfError(zero, SelfErrorTest::along));
    }

    /** Short steps whose effect is all rounding say nothing. */
    @Test
    void roundingIsNotTakenForAnError() {
        StepEffect rounded = change -> Math.rint(along(change) * 10) / 10;
        assertEquals(SelfError.Reach.NOWHERE, new SelfError(UNIT, rounded).largestStep(0.2, 1).reach());
        assertEquals(SelfError.Reach.EVERYWHERE, new SelfError(UNIT, rounded, 0.1).largestStep(0.2, 1).reach());
        StepEffect wrong = change -> 2 * rounded.of(change);
        assertEquals(SelfError.Reach.UNRESOLVED, new SelfError(UNIT, wrong, 0.1).largestStep(0.2, 1).reach());
        assertEquals(SelfError.Reach.UNRESOLVED, new SelfError(UNIT, rounded, 1e9).largestStep(0.2, 1).reach());
    }

    private static double along(double[] change) {
        return UNIT.dot(change);
    }

    /** At the final residual stream the exact vector's error falls with the step: it is the derivative. */
    @ParameterizedTest
    @ValueSource(strings = {"gpt2", "gemma2", "olmo2", "phi"})
    void derivativeOfTheRest(String name) {
        try (Arena arena = Arena.ofShared();
                Transformer model = ModelLoader.open(Golden.open(name, arena).directory(), ScalarKernels.float64())) {
            Golden golden = Golden.open(name, arena);
            try (var cache = model.forward(golden.batch())) {
                PromptRun clean = new PromptRun(cache, 1);
                FeatureVector y = new PathPropagator(model, name).propagate(
                        golden.observable(), Path.OUTPUT, PathRules.of(NormRule.EXACT), Runs.of(clean)).feature();
                try (var effect = new TotalEffect(clean, golden.observable(), y.site())) {
                    var self = new SelfError(y, effect);
                    double scale = effect.activationNorm();
                    double coarse = self.measure(1e-2 * scale).error();
                    double fine = self.measure(1e-4 * scale).error();
                    System.out.printf("%s: error %.2e at 1e-2, %.2e at 1e-4 activation lengths%n", name, coarse, fine);
                    assertTrue(fine < coarse / 50, "the error does not fall with the step");
                    var largest = self.largestStep(0.1, scale);
                    assertEquals(SelfError.Reach.FOUND, largest.reach());
                    assertEquals(0.1, self.measure(largest.step()).error(), 1e-3);
                }
            }
        }
    }

    /** Lower down, the sum of all paths from a site is its derivative: here over the last layer of a model. */
    @Test
    void derivativeThroughTheLastLayer() {
        try (Arena arena = Arena.ofShared();
                Transformer model = ModelLoader.open(Golden.open("llama", arena).directory(), ScalarKernels.float64())) {
            Golden golden = Golden.open("llama", arena);
            try (var cache = model.forward(golden.batch())) {
                PromptRun clean = new PromptRun(cache, 0);
                int last = model.config().nLayers() - 1;
                PathRules rules = PathRules.of(NormRule.EXACT).with(PatternRule.EXACT);
                var propagator = new PathPropagator(model, "llama");
                FeatureVector direct = propagator.propagate(
                        golden.observable(), Path.of(Step.Heads.all(last, 3)), rules, Runs.of(clean)).feature();
                FeatureVector throughMlp = propagator.propagate(golden.observable(),
                        Path.of(new Step.Mlp(last, -1), Step.Heads.all(last, 3)), rules, Runs.of(clean)).feature();
                FeatureVector both = FeatureVector.sum(java.util.List.of(direct, throughMlp));
                try (var effect = new TotalEffect(clean, golden.observable(), both.site())) {
                    double step = 1e-4 * effect.activationNorm();
                    double whole = new SelfError(both, effect).measure(step).error();
                    double part = new SelfError(direct, effect).measure(step).error();
                    System.out.printf("llama: error of both paths %.2e, of one alone %.2e%n", whole, part);
                    assertTrue(whole < 1e-2 * part, "both paths together predict no better than one");
                }
            }
        }
    }
}

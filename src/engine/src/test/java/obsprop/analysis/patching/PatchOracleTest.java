package obsprop.analysis.patching;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import obsprop.analysis.runs.CachedRun;
import obsprop.analysis.runs.PromptPair;
import obsprop.analysis.runs.Run;
import obsprop.analysis.runs.SubstituteRun;
import obsprop.kernel.Kernels;
import obsprop.model.ActivationCache;
import obsprop.model.Point;
import obsprop.model.Transformer;
import obsprop.model.family.ModelLoader;
import obsprop.propagation.Path;
import obsprop.propagation.Step;
import obsprop.tensor.DType;
import obsprop.testing.Backends;
import obsprop.testing.Golden;
import obsprop.testing.Measured;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** The fast arithmetic against full reruns, for every family, mode, norm, reach and kind of corrupted run. */
class PatchOracleTest {
    private static final double TOLERANCE = 1e-5;
    /** In double there is nothing but rounding: a wrong formula cannot hide. */
    private static final double EXACT = 1e-11;

    static Stream<Arguments> fixtures() {
        return GoldenPatchingTest.fixtures();
    }

    @ParameterizedTest
    @MethodSource("fixtures")
    void agrees(String name, Kernels kernels) {
        try (Arena arena = Arena.ofShared()) {
            Golden golden = Golden.open(name, arena);
            try (Transformer model = ModelLoader.open(golden.directory(), kernels);
                    ActivationCache cache = model.forward(golden.batch());
                    Measured measured = new Measured("oracle, " + name + ", " + Backends.label(kernels))) {
                CachedRun clean = new CachedRun(cache, 1);
                CachedRun corrupted = new CachedRun(cache, 0);
                try (SubstituteRun zero = SubstituteRun.zero(model, clean.length());
                        SubstituteRun mean = SubstituteRun.mean(List.of(clean, corrupted))) {
                    for (Run run : List.of(corrupted, zero, mean)) {
                        check(new PromptPair(clean, run), golden, measured, new Random(11));
                    }
                }
            }
        }
    }

    private static void check(PromptPair pair, Golden golden, Measured measured, Random random) {
        try (PatchOracle oracle = new PatchOracle(pair)) {
            for (PatchMode mode : PatchMode.values()) {
                for (FinalNorm norm : FinalNorm.values()) {
                    Readout readout = new Readout(golden.observable(), random.nextInt(10, pair.clean().length()), norm);
                    heads(pair, oracle, readout, mode, measured, random);
                    for (Reach reach : Reach.values()) {
                        Path path = path(pair.model(), readout.position(), random);
                        PathEffect fast = PathPatching.effect(pair, readout, mode, path, reach);
                        double slow = oracle.effect(readout, mode, path, reach);
                        compare(measured, path.toString(), fast.effect(), slow, tolerance(pair, fast.clean()));
                    }
                }
            }
        }
    }

    private static void heads(
            PromptPair pair, PatchOracle oracle, Readout readout, PatchMode mode, Measured measured, Random random) {
        int layer = random.nextInt(pair.model().config().nLayers());
        int head = random.nextInt(pair.model().config().nHeads());
        Path whole = Path.of(Step.Heads.one(layer, head, readout.position()));
        HeadEffects table = HeadPatching.table(pair, readout, mode);
        double tolerance = tolerance(pair, table.clean());
        compare(measured, "table", table.effect()[layer][head], oracle.effect(readout, mode, whole, Reach.ALL), tolerance);
        double[] byToken = HeadPatching.byToken(pair, readout, mode)[layer][head];
        for (int token : new int[] {readout.position(), readout.position() - 1, readout.position() - 2}) {
            Path one = Path.of(Step.Heads.one(layer, head, token));
            double expected = oracle.effect(readout, mode, one, Reach.NAMED);
            if (differs(pair, layer, token)) {
                compare(measured, "by token", byToken[token], expected, tolerance);
            } else {
                measured.check("by token that both runs share", byToken[token], expected, tolerance);
            }
        }
    }

    /** Whether a head of that layer reads something else at that token: not in layer 0 where both prompts have the same token. */
    private static boolean differs(PromptPair pair, int layer, int token) {
        double[] clean = pair.clean().residual(layer, Point.INPUT).select(0, token).toDoubles();
        return !Arrays.equals(clean, pair.corrupted().residual(layer, Point.INPUT).select(0, token).toDoubles());
    }

    /** A random legal path with an MLP, two attention steps, and perhaps the embedding. */
    private static Path path(Transformer model, int position, Random random) {
        int layers = model.config().nLayers();
        int middle = position - random.nextInt(3);
        int source = middle - random.nextInt(3);
        Path path = Path.of(
                new Step.Heads(layers - 1, List.of(0, 2), middle),
                new Step.Mlp(layers - 2, middle),
                Step.Heads.one(layers - 3, 1, source));
        return random.nextBoolean() ? path : path.then(new Step.Embedding(source));
    }

    /** An effect is the difference of two values of the observable: its rounding is theirs. */
    private static double tolerance(PromptPair pair, double clean) {
        boolean single = pair.model().kernels().activationType() == DType.F32;
        return (single ? TOLERANCE : EXACT) * Math.max(1, Math.abs(clean));
    }

    private static void compare(Measured measured, String what, double fast, double slow, double tolerance) {
        measured.check(what, fast, slow, tolerance);
        assertTrue(Math.abs(slow) > 0, what + " has no effect at all: nothing was tested");
    }
}

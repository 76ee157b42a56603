package obsprop.analysis.patching;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import obsprop.analysis.runs.CachedRun;
import obsprop.analysis.runs.PromptPair;
import obsprop.analysis.runs.Run;
import obsprop.analysis.runs.SubstituteRun;
import obsprop.kernel.Kernels;
import obsprop.model.ActivationCache;
import obsprop.model.Transformer;
import obsprop.model.family.ModelLoader;
import obsprop.propagation.Path;
import obsprop.propagation.Site;
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
        int[] positions = positions(pair, golden);
        try (PatchOracle oracle = new PatchOracle(pair)) {
            for (PatchMode mode : PatchMode.values()) {
                for (FinalNorm norm : FinalNorm.values()) {
                    Readout readout = new Readout(golden.observable(), positions[random.nextInt(positions.length)], norm);
                    heads(pair, oracle, readout, mode, measured, random);
                    for (Reach reach : Reach.values()) {
                        Path path = path(pair.model(), readout.position(), random);
                        PathEffect fast = PathPatching.effect(pair, readout, mode, path, reach);
                        double slow = oracle.effect(readout, mode, path, reach);
                        compare(measured, path.toString(), fast.effect(), slow, tolerance(pair, fast.clean()),
                                differs(pair, path.steps().getLast(), reach));
                    }
                }
            }
        }
    }

    /** Where, in the second half of the prompt, the observable is large: where its terms cancel, rounding is no share of it. */
    private static int[] positions(PromptPair pair, Golden golden) {
        int first = pair.clean().length() / 2;
        double[] values = IntStream.range(first, pair.clean().length()).mapToDouble(t -> Math.abs(PathPatching.effect(
                pair, new Readout(golden.observable(), t, FinalNorm.ON), PatchMode.FULL, Path.OUTPUT, Reach.NAMED).clean())).toArray();
        double largest = Arrays.stream(values).max().orElseThrow();
        return IntStream.range(0, values.length).filter(i -> values[i] >= largest / 2).map(i -> first + i).toArray();
    }

    private static void heads(
            PromptPair pair, PatchOracle oracle, Readout readout, PatchMode mode, Measured measured, Random random) {
        int layer = random.nextInt(pair.model().config().nLayers());
        int head = random.nextInt(pair.model().config().nHeads());
        Path whole = Path.of(Step.Heads.one(layer, head, readout.position()));
        HeadEffects table = HeadPatching.table(pair, readout, mode);
        double tolerance = tolerance(pair, table.clean());
        compare(measured, "table", table.effect()[layer][head], oracle.effect(readout, mode, whole, Reach.ALL), tolerance,
                differs(pair, whole.steps().getLast(), Reach.ALL));
        double[] byToken = HeadPatching.byToken(pair, readout, mode)[layer][head];
        for (int back = 0; back < 3; back++) {
            int token = earlier(pair.model(), layer, readout.position(), back);
            Step.Heads step = Step.Heads.one(layer, head, token);
            Path one = Path.of(step);
            double expected = oracle.effect(readout, mode, one, Reach.NAMED);
            compare(measured, "by token", byToken[token], expected, tolerance, differs(pair, step, Reach.NAMED));
        }
    }

    /**
     * Whether a step reads something else in the other run, so that there must be an effect: not in layer 0 where both prompts
     * have the same token. In single precision it may be lost in rounding.
     */
    private static boolean differs(PromptPair pair, Step step, Reach reach) {
        if (pair.model().kernels().activationType() == DType.F32) {
            return false;
        }
        if (reach == Reach.ALL) {
            return true;
        }
        Site site = step.reads(pair.model());
        double[] clean = pair.clean().residual(site.layer(), site.point()).select(0, site.position()).toDoubles();
        return !Arrays.equals(clean, pair.corrupted().residual(site.layer(), site.point()).select(0, site.position()).toDoubles());
    }

    /** A token some places earlier, or the first one that the layer still sees from there. */
    private static int earlier(Transformer model, int layer, int token, int places) {
        return Math.max(token - places, model.block(layer).attention().spec().firstKey(token));
    }

    /** A random legal path with an MLP, two attention steps where the layers suffice, and perhaps the embedding. */
    private static Path path(Transformer model, int position, Random random) {
        int layers = model.config().nLayers();
        int heads = model.config().nHeads();
        int middle = earlier(model, layers - 1, position, random.nextInt(3));
        Path path = Path.of(
                new Step.Heads(layers - 1, heads == 1 ? List.of(0) : List.of(0, heads - 1), middle), new Step.Mlp(layers - 2, middle));
        // In a parallel block attention does not come before the MLP.
        int below = layers > 2 || !model.block(0).hasMiddle() ? layers - 3 : layers - 2;
        int source = middle;
        if (below >= 0) {
            source = earlier(model, below, middle, random.nextInt(3));
            path = path.then(Step.Heads.one(below, heads / 2, source));
        }
        return random.nextBoolean() ? path : path.then(new Step.Embedding(source));
    }

    /** An effect is the difference of two values of the observable: its rounding is theirs. */
    private static double tolerance(PromptPair pair, double clean) {
        boolean single = pair.model().kernels().activationType() == DType.F32;
        return (single ? TOLERANCE : EXACT) * Math.max(1, Math.abs(clean));
    }

    private static void compare(
            Measured measured, String what, double fast, double slow, double tolerance, boolean differs) {
        measured.check(what, fast, slow, tolerance);
        assertTrue(!differs || Math.abs(slow) > 0, what + " has no effect at all: nothing was tested");
    }
}

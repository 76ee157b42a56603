package obsprop.analysis;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import obsprop.kernel.scalar.ScalarKernels;
import obsprop.model.ActivationCache;
import obsprop.model.Transformer;
import obsprop.model.family.ModelLoader;
import obsprop.propagation.Path;
import obsprop.propagation.Step;
import obsprop.testing.Golden;
import obsprop.testing.Measured;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The fast arithmetic against full reruns, for every family, mode, norm, reach and kind of corrupted run. */
class PatchOracleTest {
    private static final double TOLERANCE = 1e-5;

    static Stream<String> names() {
        return GoldenPatchingTest.names();
    }

    @ParameterizedTest
    @MethodSource("names")
    void agrees(String name) {
        try (Arena arena = Arena.ofShared()) {
            Golden golden = Golden.open(name, arena);
            try (Transformer model = ModelLoader.open(golden.directory(), ScalarKernels.float32());
                    ActivationCache cache = model.forward(golden.batch());
                    Measured measured = new Measured("oracle, " + name)) {
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
                        compare(measured, path.toString(),
                                PathPatching.effect(pair, readout, mode, path, reach).effect(),
                                oracle.effect(readout, mode, path, reach));
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
        compare(measured, "table", HeadPatching.table(pair, readout, mode).effect()[layer][head],
                oracle.effect(readout, mode, whole, Reach.ALL));
        double[] byToken = HeadPatching.byToken(pair, readout, mode)[layer][head];
        for (int token : new int[] {readout.position(), readout.position() - 1, readout.position() - 2}) {
            Path one = Path.of(Step.Heads.one(layer, head, token));
            double expected = oracle.effect(readout, mode, one, Reach.NAMED);
            compare(measured, "by token", byToken[token], expected);
        }
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

    private static void compare(Measured measured, String what, double fast, double slow) {
        measured.check(what, fast, slow, TOLERANCE * Math.max(1, Math.abs(slow)));
        assertTrue(Math.abs(slow) > 0, what + " has no effect at all: nothing was tested");
    }
}

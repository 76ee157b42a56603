package obsprop.analysis.patching;

import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.util.Arrays;
import java.util.stream.Stream;
import obsprop.analysis.attribution.Attribution;
import obsprop.analysis.attribution.DirectAttribution;
import obsprop.analysis.runs.CachedRun;
import obsprop.analysis.runs.PromptPair;
import obsprop.kernel.Kernels;
import obsprop.model.ActivationCache;
import obsprop.model.Transformer;
import obsprop.model.family.ModelLoader;
import obsprop.tensor.Tensor;
import obsprop.tensor.io.SafetensorsFile;
import obsprop.testing.Agreement;
import obsprop.testing.Backends;
import obsprop.testing.Golden;
import obsprop.testing.Tensors;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Head patching and attribution on every fixture whose components write to the stream directly. */
class GoldenPatchingTest {
    static Stream<Arguments> fixtures() {
        return names().flatMap(name -> Backends.all().map(k -> Arguments.of(name, k)));
    }

    static Stream<String> names() {
        return Golden.names().stream().filter(name -> Files.exists(Golden.ROOT.resolve(name, "patching.safetensors")));
    }

    @ParameterizedTest(autoCloseArguments = false)
    @MethodSource("fixtures")
    void headTables(String name, Kernels kernels) {
        try (Arena arena = Arena.ofShared()) {
            Golden golden = Golden.open(name, arena);
            SafetensorsFile expected = SafetensorsFile.open(golden.directory().resolve("patching.safetensors"), arena);
            try (Transformer model = ModelLoader.open(golden.directory(), kernels);
                    ActivationCache cache = model.forward(golden.batch())) {
                PromptPair pair = new PromptPair(new CachedRun(cache, 0), new CachedRun(cache, 1));
                Readout readout = Readout.last(golden.observable());
                HeadEffects full = HeadPatching.table(pair, readout, PatchMode.FULL);
                HeadEffects ovOnly = HeadPatching.table(pair, readout, PatchMode.OV_ONLY);
                String what = name + ", " + Backends.label(kernels) + ", ";
                check(what + "full", expected.tensor("effect_full"), flat(full.effect()));
                check(what + "ov-only", expected.tensor("effect_ov_only"), flat(ovOnly.effect()));
                check(what + "clean", expected.tensor("clean"), full.clean());
                check(what + "corrupted", expected.tensor("corrupted"), full.corrupted());
            }
        }
    }

    @ParameterizedTest(autoCloseArguments = false)
    @MethodSource("fixtures")
    void attributionAddsUp(String name, Kernels kernels) {
        try (Arena arena = Arena.ofShared()) {
            Golden golden = Golden.open(name, arena);
            try (Transformer model = ModelLoader.open(golden.directory(), kernels);
                    ActivationCache cache = model.forward(golden.batch())) {
                for (int prompt = 0; prompt < cache.segments().count(); prompt++) {
                    for (int position : new int[] {0, golden.tokens() / 3, -1}) {
                        CachedRun run = new CachedRun(cache, prompt);
                        Attribution a = DirectAttribution.ofObservable(run, golden.observable(), position);
                        int[] rows = {run.row(run.position(position))};
                        Tensor logits = Tensors.onHost(arena, kernels, model.logits(cache, rows, arena));
                        double value = golden.observable().value(logits.select(0, 0));
                        double error = Agreement.error(name + ", " + Backends.label(kernels) + ", parts of prompt " + prompt + " at " + position,
                                new double[] {value, value}, new double[] {a.sum(), a.total()});
                        assertTrue(error <= 1e-5, name);
                    }
                }
            }
        }
    }

    static double[] flat(double[][] table) {
        return Arrays.stream(table).flatMapToDouble(Arrays::stream).toArray();
    }

    static void check(String what, Tensor expected, double... actual) {
        double error = Agreement.error(what, expected.toDoubles(), actual);
        assertTrue(error <= Agreement.GOLDEN, what + ": off by " + error);
    }
}

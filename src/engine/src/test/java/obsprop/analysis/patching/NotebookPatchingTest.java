package obsprop.analysis.patching;

import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import obsprop.analysis.attribution.Attribution;
import obsprop.analysis.attribution.DirectAttribution;
import obsprop.analysis.runs.CachedRun;
import obsprop.analysis.runs.PromptPair;
import obsprop.kernel.Kernels;
import obsprop.model.ActivationCache;
import obsprop.model.Point;
import obsprop.model.Transformer;
import obsprop.model.family.ModelLoader;
import obsprop.propagation.Path;
import obsprop.propagation.Propagator;
import obsprop.propagation.Site;
import obsprop.tensor.Tensor;
import obsprop.tensor.io.SafetensorsFile;
import obsprop.testing.Backends;
import obsprop.testing.Golden;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** What the authors' notebook functions return on the GPT-Neo fixture. */
class NotebookPatchingTest {
    /** The five chains of {@code chain_path_patch}, written from the output backwards. */
    private static final List<String> CHAINS = List.of(
            "attn2.0@6 <= attn0.1@3",
            "attn2.1@9 <= mlp0@9",
            "attn3.0@17 <= mlp2@17 <= attn1.2@15",
            "mlp3@-1 <= mlp1@-1",
            "attn3.4@18 <= mlp1@18 <= attn0.3@12");

    static Stream<Kernels> backends() {
        return Backends.all();
    }

    @ParameterizedTest(autoCloseArguments = false)
    @MethodSource("backends")
    void agrees(Kernels kernels) {
        try (Arena arena = Arena.ofShared()) {
            Golden golden = Golden.open("gpt_neo", arena);
            SafetensorsFile expected =
                    SafetensorsFile.open(golden.directory().resolve("reference_notebook.safetensors"), arena);
            try (Transformer model = ModelLoader.open(golden.directory(), kernels);
                    ActivationCache cache = model.forward(golden.batch())) {
                PromptPair pair = new PromptPair(new CachedRun(cache, 0), new CachedRun(cache, 1));
                heads(pair, golden, expected);
                chains(pair, golden, expected);
                contributions(pair, golden, expected, arena);
            }
        }
    }

    private static void heads(PromptPair pair, Golden golden, SafetensorsFile expected) {
        Readout on = Readout.last(golden.observable());
        Readout off = new Readout(golden.observable(), -1, FinalNorm.OFF);
        check(expected, "path_patch_head", HeadPatching.table(pair, on, PatchMode.FULL).effect());
        check(expected, "path_patch_head_ov_only", HeadPatching.table(pair, on, PatchMode.OV_ONLY).effect());
        check(expected, "path_patch_head_ov_only_no_final_norm",
                HeadPatching.table(pair, off, PatchMode.OV_ONLY).effect());
    }

    private static void chains(PromptPair pair, Golden golden, SafetensorsFile expected) {
        Readout readout = Readout.last(golden.observable());
        double[] effects = CHAINS.stream()
                .mapToDouble(p -> PathPatching.effect(pair, readout, PatchMode.OV_ONLY, Path.parse(p), Reach.NAMED)
                        .effect())
                .toArray();
        GoldenPatchingTest.check("notebook chain_path_patch", expected.tensor("chain_path_patch"), effects);
    }

    private static void contributions(PromptPair pair, Golden golden, SafetensorsFile expected, Arena arena) {
        Transformer model = pair.model();
        Tensor y = new Propagator(model).unembed(List.of(golden.observable()), arena);
        Site site = new Site(model.config().nLayers(), Point.INPUT, -1);
        Attribution clean = DirectAttribution.ofFeature(pair.clean(), y, site);
        Attribution corrupted = DirectAttribution.ofFeature((CachedRun) pair.corrupted(), y, site);
        double[] heads = Stream.of(minus(clean.heads(), corrupted.heads())).flatMapToDouble(
                layer -> Stream.of(layer).flatMapToDouble(Arrays::stream)).toArray();
        GoldenPatchingTest.check("notebook head_source_token_contribution",
                expected.tensor("head_source_token_contribution"), heads);
        double[] mlps = clean.mlps().clone();
        for (int l = 0; l < mlps.length; l++) {
            mlps[l] -= corrupted.mlps()[l];
        }
        GoldenPatchingTest.check("notebook mlp_contribution", expected.tensor("mlp_contribution"), mlps);
    }

    private static double[][][] minus(double[][][] a, double[][][] b) {
        double[][][] out = new double[a.length][a[0].length][a[0][0].length];
        for (int l = 0; l < a.length; l++) {
            for (int h = 0; h < a[l].length; h++) {
                for (int j = 0; j < a[l][h].length; j++) {
                    out[l][h][j] = a[l][h][j] - b[l][h][j];
                }
            }
        }
        return out;
    }

    private static void check(SafetensorsFile expected, String name, double[][] table) {
        GoldenPatchingTest.check("notebook " + name, expected.tensor(name), GoldenPatchingTest.flat(table));
    }
}

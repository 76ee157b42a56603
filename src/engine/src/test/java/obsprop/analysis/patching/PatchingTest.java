package obsprop.analysis.patching;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.function.Consumer;
import java.util.stream.Stream;
import obsprop.analysis.attribution.Attribution;
import obsprop.analysis.attribution.DirectAttribution;
import obsprop.analysis.runs.CachedRun;
import obsprop.analysis.runs.PromptPair;
import obsprop.analysis.runs.TokenPair;
import obsprop.analysis.search.PathSearch;
import obsprop.analysis.search.SearchOptions;
import obsprop.kernel.scalar.ScalarKernels;
import obsprop.model.ActivationCache;
import obsprop.model.Batch;
import obsprop.model.Keep;
import obsprop.model.Point;
import obsprop.model.Transformer;
import obsprop.model.family.ModelLoader;
import obsprop.model.layer.NormSite;
import obsprop.propagation.Observable;
import obsprop.propagation.Path;
import obsprop.propagation.Site;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;
import obsprop.testing.Golden;
import obsprop.testing.Measured;
import obsprop.testing.Tensors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

/** Identities that patching and attribution must satisfy, and the requests they refuse. */
class PatchingTest {
    private static final double EXACT = 1e-10;

    private record Setting(Golden golden, Transformer model, ActivationCache cache, Arena arena) {
        CachedRun run(int prompt) {
            return new CachedRun(cache, prompt);
        }

        PromptPair pair() {
            return new PromptPair(run(0), run(1));
        }
    }

    private static void with(String name, Keep keep, Consumer<Setting> test) {
        try (Arena arena = Arena.ofShared()) {
            Golden golden = Golden.open(name, arena);
            try (Transformer model = ModelLoader.open(golden.directory(), ScalarKernels.float64());
                    ActivationCache cache = model.forward(golden.batch(), keep, model.config().nLayers())) {
                test.accept(new Setting(golden, model, cache, arena));
            }
        }
    }

    static Stream<String> names() {
        return GoldenPatchingTest.names();
    }

    @ParameterizedTest
    @MethodSource("names")
    void innerAttributionAddsUp(String name) {
        with(name, Keep.EVERYTHING, s -> {
            Tensor y = Tensors.random(s.arena, DType.F64, new Random(5), 1, 1, s.model.config().dModel());
            int last = s.model.config().nLayers();
            try (Measured measured = new Measured("inner attribution, " + name)) {
                for (int l = 0; l < last; l++) {
                    check(measured, DirectAttribution.ofFeature(s.run(0), y, l, NormSite.ATTENTION_INPUT, -3));
                    check(measured, DirectAttribution.ofFeature(s.run(1), y, l, NormSite.MLP_INPUT, s.golden.tokens() / 2));
                    check(measured, DirectAttribution.ofFeature(s.run(1), y, new Site(l, Point.INPUT, 2)));
                }
                Attribution whole = DirectAttribution.ofFeature(s.run(1), y, last, NormSite.FINAL, 4);
                check(measured, whole);
                assertTrue(whole.heads()[last - 1][0][4] != 0 && whole.heads()[0][0][5] == 0);
            }
        });
    }

    private static void check(Measured measured, Attribution a) {
        measured.check("sum", a.sum(), a.total(), EXACT * Math.max(1, Math.abs(a.total())));
    }

    /** Without final norm, effects are linear: a head's tokens add up to the head, all components to the whole. */
    @ParameterizedTest
    @ValueSource(strings = {"gpt2", "gpt_neox", "llama"})
    void effectsWithoutNormAddUp(String name) {
        with(name, Keep.RESIDUALS, s -> {
            Readout readout = new Readout(s.golden.observable(), -1, FinalNorm.OFF);
            double[][] heads = HeadPatching.table(s.pair(), readout, PatchMode.OV_ONLY).effect();
            double[][][] byToken = HeadPatching.byToken(s.pair(), readout, PatchMode.OV_ONLY);
            double[][] full = HeadPatching.table(s.pair(), readout, PatchMode.FULL).effect();
            double sum = 0;
            try (Measured measured = new Measured("effects add up, " + name)) {
                for (int l = 0; l < heads.length; l++) {
                    for (int h = 0; h < heads[l].length; h++) {
                        double tokens = Arrays.stream(byToken[l][h]).sum();
                        measured.check("tokens", tokens, heads[l][h], EXACT);
                        sum += full[l][h];
                    }
                    sum += effect(s, readout, "mlp" + l + "@-1");
                }
                sum += effect(s, readout, "embedding@-1");
                measured.check("components", sum, effect(s, readout, "output"), EXACT);
            }
        });
    }

    private static double effect(Setting s, Readout readout, String path) {
        return PathPatching.effect(s.pair(), readout, PatchMode.FULL, Path.parse(path), Reach.NAMED).effect();
    }

    /** The other direction is the pair swapped; patching a run from itself changes nothing at all. */
    @Test
    void directions() {
        with("llama", Keep.EVERYTHING, s -> {
            Readout readout = Readout.last(s.golden.observable());
            HeadEffects there = HeadPatching.table(s.pair(), readout, PatchMode.FULL);
            HeadEffects back = HeadPatching.table(new PromptPair(s.run(1), s.run(0)), readout, PatchMode.FULL);
            assertEquals(there.clean(), back.corrupted(), EXACT);
            assertEquals(there.corrupted(), back.clean(), EXACT);
            assertFalse(Math.abs(there.effect()[0][0] - back.effect()[0][0]) < EXACT);
            HeadEffects same = HeadPatching.table(new PromptPair(s.run(1), s.run(1)), readout, PatchMode.FULL);
            for (double[] layer : same.effect()) {
                for (double effect : layer) {
                    assertEquals(0, effect);
                }
            }
        });
    }

    @Test
    void meanOverPairsWithStandardError() {
        with("gpt2", Keep.EVERYTHING, s -> {
            int[][] prompts = s.golden.prompts("input_ids");
            List<TokenPair> pairs = new ArrayList<>();
            for (int length : new int[] {5, 9, 9, s.golden.tokens()}) {
                pairs.add(new TokenPair(
                        Arrays.copyOf(prompts[0], length), Arrays.copyOf(prompts[1], length)));
            }
            pairs.add(pairs.getFirst().swapped());
            Readout readout = Readout.last(s.golden.observable());
            MeanHeadEffects mean = MeanHeadPatching.over(s.model, pairs, readout, PatchMode.FULL);
            int h = s.model.config().nHeads() - 1;
            double[] single = new double[pairs.size()];
            for (int i = 0; i < single.length; i++) {
                TokenPair p = pairs.get(i);
                try (ActivationCache cache = s.model.forward(Batch.of(p.clean(), p.corrupted()))) {
                    PromptPair pair = new PromptPair(new CachedRun(cache, 0), new CachedRun(cache, 1));
                    single[i] = HeadPatching.table(pair, readout, PatchMode.FULL).effect()[1][h];
                }
            }
            double average = Arrays.stream(single).average().orElseThrow();
            double squares = Arrays.stream(single).map(x -> (x - average) * (x - average)).sum();
            assertEquals(pairs.size(), mean.pairs());
            assertEquals(average, mean.effect()[1][h], EXACT);
            assertEquals(Math.sqrt(squares / (single.length - 1) / single.length), mean.standardError()[1][h], EXACT);
            assertTrue(Double.isNaN(
                    MeanHeadPatching.over(s.model, pairs.subList(0, 1), readout, PatchMode.FULL).standardError()[0][0]));
        });
    }

    @Test
    void oracleAgreementSeesAWrongTable() {
        with("gpt2", Keep.EVERYTHING, s -> {
            Readout readout = Readout.last(s.golden.observable());
            HeadEffects table = HeadPatching.table(s.pair(), readout, PatchMode.FULL);
            int all = table.effect().length * table.effect()[0].length;
            OracleAgreement right = OracleAgreement.of(s.pair(), readout, PatchMode.FULL, table, new OracleAgreement.Sample(4, 1));
            assertEquals(4, right.samples());
            assertEquals(all, right.values());
            assertTrue(right.largestDifference() < EXACT, right::toString);
            table.effect()[1][1] += 0.25;
            OracleAgreement wrong = OracleAgreement.of(s.pair(), readout, PatchMode.FULL, table, new OracleAgreement.Sample(all, 1));
            assertEquals(0.25, wrong.largestDifference(), 1e-9);
            List<FoundPath> paths = PathSearch.run(s.pair(), readout, SearchOptions.of(5, 3));
            OracleAgreement ofPaths = OracleAgreement.of(s.pair(), readout, PatchMode.OV_ONLY, Reach.NAMED, paths, new OracleAgreement.Sample(5, 1));
            assertTrue(ofPaths.largestDifference() < EXACT, ofPaths::toString);
            System.out.println(ofPaths);
        });
    }

    @Test
    void refusals() {
        with("gpt2", Keep.EVERYTHING, s -> {
            Readout readout = Readout.last(s.golden.observable());
            int tokens = s.golden.tokens();
            try (ActivationCache other = s.model.forward(Batch.of(new int[] {1, 2, 3}));
                    ActivationCache shallow = s.model.forward(s.golden.batch(), Keep.EVERYTHING, 1)) {
                refused(tokens + " tokens and the corrupted one 3",
                        () -> new PromptPair(s.run(0), new CachedRun(other, 0)));
                refused("through all", () -> new CachedRun(shallow, 0));
            }
            int prompts = s.cache.segments().count();
            refused("prompt " + prompts + " of a batch of " + prompts, () -> s.run(prompts));
            refused("outside the prompt", () -> HeadPatching.table(
                    s.pair(), new Readout(s.golden.observable(), tokens, FinalNorm.ON), PatchMode.FULL));
            int layers = s.model.config().nLayers();
            refused("there is no layer " + layers, () -> effect(s, readout, "attn" + layers + ".0@1"));
            int heads = s.model.config().nHeads();
            refused("there is no head " + heads, () -> effect(s, readout, "attn1." + heads + "@1"));
            refused("cannot feed", () -> effect(s, readout, "attn0.0@-1 <= mlp1@-1"));
            refused("names token 9999", () -> DirectAttribution.ofObservable(
                    s.run(0), Observable.difference("far", 9999, 0), -1));
            Tensor y = s.model.kernels().allocate(s.arena, 1, s.model.config().dModel());
            refused("no norm FINAL of layer 1", () -> DirectAttribution.ofFeature(s.run(0), y, 1, NormSite.FINAL, 0));
            refused("reads the residual stream through QUERY_KEY",
                    () -> DirectAttribution.ofFeature(s.run(0), y, 1, NormSite.QUERY_KEY, 0));
            refused("depth", () -> SearchOptions.of(3, 0));
            refused("at least one", () -> MeanHeadPatching.over(s.model, List.of(), readout, PatchMode.FULL));
            refused("5 tokens and the corrupted one 6", () -> new TokenPair(new int[5], new int[6]));
        });
        with("opt-postnorm", Keep.EVERYTHING, s -> {
            refused("no component has a direct effect", s::pair);
            refused("attribution is not defined",
                    () -> DirectAttribution.ofObservable(s.run(0), s.golden.observable(), -1));
        });
    }

    private static void refused(String part, Executable request) {
        String message = assertThrows(IllegalArgumentException.class, request).getMessage();
        assertTrue(message.contains(part) && !message.contains("\n"), message);
    }
}

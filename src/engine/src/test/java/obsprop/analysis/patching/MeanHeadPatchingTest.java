package obsprop.analysis.patching;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.function.BiConsumer;
import obsprop.analysis.runs.CachedRun;
import obsprop.analysis.runs.PromptPair;
import obsprop.analysis.runs.TokenPair;
import obsprop.kernel.scalar.ScalarKernels;
import obsprop.model.ActivationCache;
import obsprop.model.Batch;
import obsprop.model.Keep;
import obsprop.model.Point;
import obsprop.model.Transformer;
import obsprop.model.family.ModelLoader;
import obsprop.propagation.Observable;
import obsprop.tensor.Tensor;
import obsprop.testing.Golden;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Tables of many pairs in one pass, and of many observables on one pair, are the tables of each by itself. */
class MeanHeadPatchingTest {
    private static final double EXACT = 1e-10;

    private static void with(String name, BiConsumer<Golden, Transformer> test) {
        try (Arena arena = Arena.ofShared()) {
            Golden golden = Golden.open(name, arena);
            try (Transformer model = ModelLoader.open(golden.directory(), ScalarKernels.float64())) {
                test.accept(golden, model);
            }
        }
    }

    private static List<TokenPair> pairs(Golden golden, int... lengths) {
        int[][] prompts = golden.prompts("input_ids");
        List<TokenPair> pairs = new ArrayList<>();
        for (int length : lengths) {
            TokenPair pair = new TokenPair(Arrays.copyOf(prompts[0], length), Arrays.copyOf(prompts[1], length));
            pairs.add(pairs.size() % 2 == 0 ? pair : pair.swapped());
        }
        return pairs;
    }

    /** With and without a norm behind attention, with a parallel block, with shared key/value heads. */
    @ParameterizedTest
    @ValueSource(strings = {"gpt_neo", "gemma2", "olmo2", "gptj", "mistral"})
    void manyPairsInOnePass(String name) {
        with(name, (golden, model) -> {
            List<TokenPair> pairs = pairs(golden, 9, golden.tokens(), 9, 5);
            int h = model.config().nHeads() - 1;
            for (PatchMode mode : PatchMode.values()) {
                for (FinalNorm norm : FinalNorm.values()) {
                    Readout readout = new Readout(golden.observable(), -2, norm);
                    List<HeadEffects> single = pairs.stream().map(p -> alone(model, p, readout, mode)).toList();
                    try (PairBatch batch = new PairBatch(model, readout, mode)) {
                        List<HeadEffects> together = batch.tables(pairs);
                        for (int i = 0; i < pairs.size(); i++) {
                            same(single.get(i), together.get(i));
                        }
                        same(single.get(1), batch.tables(pairs.subList(1, 2)).getFirst());
                    }
                    MeanHeadEffects mean = MeanHeadPatching.over(model, pairs, readout, mode);
                    double expected = single.stream().mapToDouble(t -> t.effect()[1][h]).average().orElseThrow();
                    assertEquals(expected, mean.effect()[1][h], EXACT);
                    assertTrue(Math.abs(expected) > 1e-6, "no effect at all: nothing was tested");
                }
            }
        });
    }

    private static HeadEffects alone(Transformer model, TokenPair pair, Readout readout, PatchMode mode) {
        try (ActivationCache cache = model.forward(Batch.of(pair.clean(), pair.corrupted()))) {
            return HeadPatching.table(new PromptPair(new CachedRun(cache, 0), new CachedRun(cache, 1)), readout, mode);
        }
    }

    private static void same(HeadEffects expected, HeadEffects actual) {
        assertEquals(expected.clean(), actual.clean(), EXACT);
        assertEquals(expected.corrupted(), actual.corrupted(), EXACT);
        assertEquals(expected.effect().length, actual.effect().length);
        for (int l = 0; l < expected.effect().length; l++) {
            assertArrayEquals(expected.effect()[l], actual.effect()[l], EXACT);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"gpt_neo", "gemma2"})
    void manyObservablesOnOnePair(String name) {
        with(name, (golden, model) -> {
            try (ActivationCache cache = model.forward(golden.batch(), Keep.RESIDUALS, model.config().nLayers())) {
                PromptPair pair = new PromptPair(new CachedRun(cache, 0), new CachedRun(cache, 1));
                int position = golden.tokens() / 2;
                try (KeptHeadPatches kept = new KeptHeadPatches(pair, position, PatchMode.FULL)) {
                    for (Observable n : List.of(golden.observable(), Observable.difference("other", 3, 4), golden.observable())) {
                        for (FinalNorm norm : FinalNorm.values()) {
                            same(HeadPatching.table(pair, new Readout(n, position, norm), PatchMode.FULL), kept.table(n, norm));
                        }
                    }
                }
            }
        });
    }

    @ParameterizedTest
    @ValueSource(strings = {"gpt_neo", "gemma2"})
    void anyNumberOfLayersAtATime(String name) {
        with(name, (golden, model) -> {
            try (ActivationCache cache = model.forward(golden.batch(), Keep.RESIDUALS, model.config().nLayers());
                    Arena arena = Arena.ofShared()) {
                PromptPair pair = new PromptPair(new CachedRun(cache, 0), new CachedRun(cache, 1));
                int position = golden.tokens() / 2;
                Readout readout = new Readout(golden.observable(), position, FinalNorm.ON);
                HeadEffects expected = HeadPatching.table(pair, readout, PatchMode.FULL);
                HeadWrites writes = new HeadWrites(model, 1, PatchMode.FULL, arena);
                writes.take(pair, position);
                Tensor clean = pair.clean().residual(model.config().nLayers(), Point.INPUT).slice(0, position, position + 1);
                FinalEffects effects = new FinalEffects(model, readout, clean, arena);
                int heads = model.config().nHeads();
                for (int rows : new int[] {1, heads, 2 * heads - 1, 2 * heads, 3 * heads}) {
                    same(expected, writes.effects(effects, new double[] {expected.corrupted()}, rows).getFirst());
                }
            }
        });
    }

    @Test
    void aPositionThatOnePromptLacks() {
        with("gpt_neo", (golden, model) -> {
            Readout readout = new Readout(golden.observable(), 6, FinalNorm.ON);
            String message = assertThrows(IllegalArgumentException.class,
                    () -> MeanHeadPatching.over(model, pairs(golden, 9, 5), readout, PatchMode.FULL)).getMessage();
            assertTrue(message.contains("outside the prompt: it has 5 tokens"), message);
        });
    }

    /** A pass that keeps nothing but the last lets a listener look into the block that has just run, and no other. */
    @Test
    void theBlockThatRanLast() {
        with("gpt_neo", (golden, model) -> {
            int layers = model.config().nLayers();
            try (ActivationCache kept = model.forward(golden.batch());
                    ActivationCache passing = model.allocate(golden.batch().segments(), Keep.LAST, layers)) {
                assertThrows(IllegalArgumentException.class, () -> passing.state(0));
                model.forward(golden.batch(), passing, (layer, point, x) -> {
                    if (layer > 0) {
                        int ran = point == Point.INPUT ? layer - 1 : layer;
                        assertArrayEquals(kept.state(ran).attention().mixed().toDoubles(),
                                passing.state(ran).attention().mixed().toDoubles());
                    }
                });
                assertThrows(IllegalArgumentException.class, () -> passing.state(0));
            }
        });
    }
}

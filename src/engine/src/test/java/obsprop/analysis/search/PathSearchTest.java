package obsprop.analysis.search;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import obsprop.analysis.patching.FoundPath;
import obsprop.analysis.patching.PatchMode;
import obsprop.analysis.patching.PathPatching;
import obsprop.analysis.patching.Reach;
import obsprop.analysis.patching.Readout;
import obsprop.analysis.runs.CachedRun;
import obsprop.analysis.runs.PromptPair;
import obsprop.kernel.scalar.ScalarKernels;
import obsprop.model.ActivationCache;
import obsprop.model.Batch;
import obsprop.model.Transformer;
import obsprop.model.family.ModelLoader;
import obsprop.propagation.Path;
import obsprop.propagation.Step;
import obsprop.testing.Golden;
import obsprop.testing.Measured;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The beam search against writing out every path there is: sequential, parallel and post-norm blocks, windows. */
class PathSearchTest {
    private static final int TOKENS = 4;

    @ParameterizedTest
    @CsvSource({"gpt2,OV_ONLY", "gpt_neox,FULL", "gemma2,OV_ONLY", "olmo2,FULL", "mistral,FULL"})
    void wideBeamFindsEveryPath(String name, PatchMode mode) {
        try (Arena arena = Arena.ofShared()) {
            Golden golden = Golden.open(name, arena);
            int[][] prompts = golden.prompts("input_ids");
            Batch batch = Batch.of(Arrays.copyOf(prompts[0], TOKENS), Arrays.copyOf(prompts[1], TOKENS));
            try (Transformer model = ModelLoader.open(golden.directory(), ScalarKernels.float64());
                    ActivationCache cache = model.forward(batch);
                    Measured measured = new Measured("every path, " + name)) {
                PromptPair pair = new PromptPair(new CachedRun(cache, 0), new CachedRun(cache, 1));
                Readout readout = Readout.last(golden.observable());
                Map<String, Double> all = new HashMap<>();
                enumerate(pair, readout, mode, Path.OUTPUT, 2, all);
                for (Rank rank : Rank.values()) {
                    var options = new SearchOptions(mode, rank, all.size() + 5, 2, Path.OUTPUT, List.of());
                    List<FoundPath> found = PathSearch.run(pair, readout, options);
                    compare(found, all, measured);
                    assertSorted(found, rank);
                    narrowBeam(pair, readout, options, found);
                }
            }
        }
    }

    /** Every legal path of two steps, or ended at the embedding before, by trying all that can be written. */
    private static void enumerate(
            PromptPair pair, Readout readout, PatchMode mode, Path path, int depth, Map<String, Double> all) {
        if (depth == 0 || !path.steps().isEmpty() && path.steps().getLast() instanceof Step.Embedding) {
            all.put(path.toString(), PathPatching.effect(pair, readout, mode, path, Reach.NAMED).effect());
            return;
        }
        for (Step step : everyStep(pair.model())) {
            Path longer = path.then(step);
            try {
                longer.resolve(pair.model(), TOKENS);
            } catch (IllegalArgumentException e) {
                continue;
            }
            enumerate(pair, readout, mode, longer, depth - 1, all);
        }
    }

    private static List<Step> everyStep(Transformer model) {
        List<Step> steps = new ArrayList<>();
        for (int t = 0; t < TOKENS; t++) {
            steps.add(new Step.Embedding(t));
            for (int l = 0; l < model.config().nLayers(); l++) {
                steps.add(new Step.Mlp(l, t));
                for (int h = 0; h < model.config().nHeads(); h++) {
                    steps.add(Step.Heads.one(l, h, t));
                }
            }
        }
        return steps;
    }

    private static void compare(List<FoundPath> found, Map<String, Double> all, Measured measured) {
        assertEquals(all.size(), found.size());
        for (FoundPath path : found) {
            Double expected = all.get(path.path().toString());
            assertTrue(expected != null, "not a legal path: " + path.path());
            measured.check(path.path().toString(), path.effect(), expected, 1e-10);
        }
        assertEquals(all.keySet(), new HashSet<>(found.stream().map(f -> f.path().toString()).toList()));
    }

    private static void assertSorted(List<FoundPath> found, Rank rank) {
        for (int i = 1; i < found.size(); i++) {
            assertTrue(rank.order().compare(found.get(i - 1).effect(), found.get(i).effect()) <= 0, "out of order");
        }
    }

    /** A narrow beam finds no better path than there is, and its first one-step path is the best of all. */
    private static void narrowBeam(PromptPair pair, Readout readout, SearchOptions wide, List<FoundPath> all) {
        var one = new SearchOptions(wide.mode(), wide.rank(), 3, 2, Path.OUTPUT, List.of());
        List<FoundPath> found = PathSearch.run(pair, readout, one);
        assertEquals(3, found.size());
        assertTrue(wide.rank().order().compare(all.getFirst().effect(), found.getFirst().effect()) <= 1e-12);
        var endless = new SearchOptions(wide.mode(), wide.rank(), 3, Integer.MAX_VALUE, Path.OUTPUT, List.of());
        assertTimeoutPreemptively(Duration.ofMinutes(1), () -> PathSearch.run(pair, readout, endless))
                .forEach(f -> assertInstanceOf(Step.Embedding.class, f.path().steps().getLast()));
        Path tail = new Path(all.getFirst().path().steps().subList(0, 1));
        if (!(tail.steps().getFirst() instanceof Step.Embedding)) {
            var fixed = new SearchOptions(wide.mode(), wide.rank(), 1, 2, tail, List.of(1, -1));
            FoundPath best = PathSearch.run(pair, readout, fixed).getFirst();
            assertEquals(tail.steps().getFirst(), best.path().steps().getFirst());
            double expected = all.stream()
                    .filter(f -> f.path().steps().getFirst().equals(tail.steps().getFirst()))
                    .filter(f -> !(f.path().steps().getLast() instanceof Step.Heads h)
                            || h.token() == 1 || h.token() == TOKENS - 1)
                    .mapToDouble(FoundPath::effect).boxed().min(wide.rank().order()).orElseThrow();
            assertEquals(expected, best.effect(), 1e-10);
        }
    }
}

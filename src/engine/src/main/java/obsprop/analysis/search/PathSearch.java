package obsprop.analysis.search;

import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.PriorityQueue;
import java.util.Set;
import java.util.function.Supplier;
import java.util.stream.Collectors;
import obsprop.analysis.patching.EffectMeter;
import obsprop.analysis.patching.FoundPath;
import obsprop.analysis.patching.PathEffect;
import obsprop.analysis.patching.PathPatching;
import obsprop.analysis.patching.Reach;
import obsprop.analysis.patching.Readout;
import obsprop.analysis.runs.PromptPair;
import obsprop.propagation.Path;
import obsprop.propagation.Step;

/**
 * Beam search for the paths with the largest exact effect, from the output backwards. Each round extends every path of
 * the beam by every component that can feed its last step: all heads with every token they may read, all MLPs, and the
 * embedding, where a path ends.
 */
public final class PathSearch {
    private final PromptPair pair;
    private final SearchOptions options;
    private final Set<Integer> tokens;

    private PathSearch(PromptPair pair, SearchOptions options) {
        this.pair = pair;
        this.options = options;
        tokens = options.tokens().stream().map(pair.clean()::position).collect(Collectors.toSet());
    }

    /** The best paths, best first: each of full depth, or ended at the embedding. */
    public static List<FoundPath> run(PromptPair pair, Readout readout, SearchOptions options) {
        return new PathSearch(pair, options).search(readout);
    }

    private List<FoundPath> search(Readout readout) {
        try (Arena arena = Arena.ofShared()) {
            EffectMeter meter = new EffectMeter(pair, readout, arena);
            PathEffect tail = PathPatching.effect(pair, readout, options.mode(), options.tail(), Reach.NAMED);
            List<FoundPath> beam = List.of(new FoundPath(tail.path(), tail.effect()));
            Predecessors predecessors = new Predecessors(pair, options.mode(), meter);
            for (int depth = tail.path().steps().size(); depth < options.depth() && !areComplete(beam); depth++) {
                Best best = new Best();
                for (FoundPath found : beam) {
                    if (isComplete(found.path())) {
                        best.offer(found.effect(), found::path);
                    } else {
                        predecessors.visit(found.path(), this::mayRead, (step, effect) ->
                                best.offer(effect, () -> found.path().then(step)));
                    }
                }
                beam = best.sorted();
            }
            return beam;
        }
    }

    private boolean mayRead(int token) {
        return tokens.isEmpty() || tokens.contains(token);
    }

    private static boolean areComplete(List<FoundPath> beam) {
        return beam.stream().allMatch(found -> isComplete(found.path()));
    }

    private static boolean isComplete(Path path) {
        return !path.steps().isEmpty() && path.steps().getLast() instanceof Step.Embedding;
    }

    /** The best paths so far, as many as the beam holds; of equal ones the first. */
    private final class Best {
        private record Ranked(FoundPath found, int order) {}

        private final Comparator<Ranked> bestFirst =
                Comparator.<Ranked, Double>comparing(r -> r.found.effect(), options.rank().order())
                        .thenComparingInt(Ranked::order);
        private final PriorityQueue<Ranked> worstFirst = new PriorityQueue<>(bestFirst.reversed());
        private int offered;

        void offer(double effect, Supplier<Path> path) {
            offered++;
            if (worstFirst.size() == options.beam()) {
                if (options.rank().order().compare(effect, worstFirst.peek().found.effect()) >= 0) {
                    return;
                }
                worstFirst.poll();
            }
            worstFirst.add(new Ranked(new FoundPath(path.get(), effect), offered));
        }

        List<FoundPath> sorted() {
            List<Ranked> all = new ArrayList<>(worstFirst);
            all.sort(bestFirst);
            return all.stream().map(Ranked::found).toList();
        }
    }
}

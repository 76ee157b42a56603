package obsprop.analysis.search;

import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.List;
import java.util.function.IntPredicate;
import obsprop.analysis.patching.EffectMeter;
import obsprop.analysis.patching.HeadDifferences;
import obsprop.analysis.patching.PatchMode;
import obsprop.analysis.patching.PatchedSteps;
import obsprop.analysis.patching.Reach;
import obsprop.analysis.patching.Span;
import obsprop.analysis.runs.PromptPair;
import obsprop.kernel.Kernels;
import obsprop.model.ModelConfig;
import obsprop.model.Point;
import obsprop.model.Transformer;
import obsprop.propagation.Path;
import obsprop.propagation.Site;
import obsprop.propagation.Step;
import obsprop.tensor.Tensor;

/** Every component that can feed a path, with the exact effect of the path that begins there, many at a time. */
final class Predecessors {
    /** Elements of the widest activation that are carried along the path at once. */
    private static final int ELEMENTS = 1 << 22;

    private final PromptPair pair;
    private final Transformer model;
    private final Kernels kernels;
    private final EffectMeter meter;
    private final PatchedSteps steps;
    private final HeadDifferences heads;
    private final int chunk;

    Predecessors(PromptPair pair, PatchMode mode, EffectMeter meter) {
        this.pair = pair;
        this.meter = meter;
        model = pair.model();
        kernels = model.kernels();
        steps = new PatchedSteps(pair, mode);
        heads = new HeadDifferences(pair, mode);
        ModelConfig c = model.config();
        chunk = Math.max(1, ELEMENTS / Math.max(c.dMlp(), pair.clean().length() * c.dHead()));
    }

    /** Sees each predecessor and the effect of the path with it. */
    @FunctionalInterface
    interface Visitor {
        void see(Step step, double effect);
    }

    /**
     * @param path with its tokens counted from 0, not ended by the embedding
     * @param mayRead which tokens heads may read
     */
    void visit(Path path, IntPredicate mayRead, Visitor visitor) {
        Site site = path.steps().isEmpty()
                ? new Site(model.config().nLayers(), Point.INPUT, meter.position())
                : path.steps().getLast().reads(model);
        int attentionLayers = site.point() == Point.MIDDLE ? site.layer() + 1 : site.layer();
        for (int l = 0; l < attentionLayers; l++) {
            heads(path, l, site.position(), mayRead, visitor);
        }
        others(path, site, visitor);
    }

    private void heads(Path path, int layer, int position, IntPredicate mayRead, Visitor visitor) {
        int first = model.block(layer).attention().spec().firstKey(position);
        Span tokens = new Span(first, position + 1);
        List<Step> candidates = new ArrayList<>();
        for (int h = 0; h < model.config().nHeads(); h++) {
            for (int j = tokens.from(); j < tokens.to(); j++) {
                candidates.add(Step.Heads.one(layer, h, j));
            }
        }
        try (Arena arena = Arena.ofShared()) {
            double[] effects = effects(path, position, heads.byToken(layer, position, tokens, arena));
            for (int i = 0; i < effects.length; i++) {
                if (mayRead.test(candidates.get(i).token())) {
                    visitor.see(candidates.get(i), effects[i]);
                }
            }
        }
    }

    /** The embedding and the MLPs, which write at the token they read. */
    private void others(Path path, Site site, Visitor visitor) {
        Span at = Span.of(site.position());
        List<Step> candidates = new ArrayList<>();
        candidates.add(new Step.Embedding(site.position()));
        for (int l = 0; l < site.layer(); l++) {
            candidates.add(new Step.Mlp(l, site.position()));
        }
        try (Arena arena = Arena.ofShared()) {
            Tensor rows = kernels.allocate(arena, candidates.size(), model.config().dModel());
            for (int i = 0; i < candidates.size(); i++) {
                Step step = candidates.get(i);
                try (Arena scratch = Arena.ofShared()) {
                    Tensor source = steps.source(step.reads(model), at, scratch);
                    kernels.copy(steps.through(step, at, at, source, scratch), rows.slice(0, i, i + 1));
                }
            }
            double[] effects = effects(path, site.position(), rows);
            for (int i = 0; i < effects.length; i++) {
                visitor.see(candidates.get(i), effects[i]);
            }
        }
    }

    /** The effect of differences [R,d] at a token, carried along the path to the observable. */
    private double[] effects(Path path, int token, Tensor differences) {
        double[] effects = new double[differences.size(0)];
        for (int first = 0; first < effects.length; first += chunk) {
            int last = Math.min(effects.length, first + chunk);
            try (Arena arena = Arena.ofShared()) {
                Tensor carried = steps.along(
                        path, Span.of(token), differences.slice(0, first, last), meter.position(), Reach.NAMED, arena);
                System.arraycopy(meter.effects(carried), 0, effects, first, last - first);
            }
        }
        return effects;
    }
}

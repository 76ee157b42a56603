package obsprop.analysis.patching;

import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import obsprop.analysis.runs.CachedRun;
import obsprop.analysis.runs.Run;
import obsprop.analysis.runs.TokenPair;
import obsprop.kernel.Kernels;
import obsprop.kernel.Segments;
import obsprop.model.ActivationCache;
import obsprop.model.Batch;
import obsprop.model.Keep;
import obsprop.model.Point;
import obsprop.model.Transformer;
import obsprop.model.layer.Block;
import obsprop.tensor.Tensor;

/**
 * Head patches of several prompt pairs from one forward pass, which keeps one layer at a time: what patching needs of a
 * layer is taken as the pass leaves it. Weights are read once for all pairs, the output projections once more.
 */
final class PairBatch implements AutoCloseable {
    private final Transformer model;
    private final Kernels kernels;
    private final Readout readout;
    private final PatchMode mode;
    private Optional<ActivationCache> cache = Optional.empty();

    PairBatch(Transformer model, Readout readout, PatchMode mode) {
        this.model = model;
        this.readout = readout;
        this.mode = mode;
        kernels = model.kernels();
    }

    /** The table of each pair. */
    List<HeadEffects> tables(List<TokenPair> pairs) {
        int[] positions = pairs.stream()
                .mapToInt(p -> CachedRun.position(readout.position(), p.clean().length))
                .toArray();
        Batch batch = batch(pairs);
        ActivationCache room = room(batch.segments());
        try (Arena arena = Arena.ofShared()) {
            HeadWrites writes = new HeadWrites(model, positions.length, mode, arena);
            model.forward(batch, room, (layer, point, x) -> {
                if (point == Point.INPUT && layer > 0) {
                    take(layer - 1, room, positions, writes);
                }
            });
            FinalEffects effects = new FinalEffects(model, readout, last(0, positions, arena), arena);
            return writes.effects(effects, effects.values(last(1, positions, arena)));
        }
    }

    /** Each pair's clean prompt, then its corrupted one. */
    private static Batch batch(List<TokenPair> pairs) {
        List<int[]> prompts = new ArrayList<>();
        for (TokenPair pair : pairs) {
            prompts.add(pair.clean());
            prompts.add(pair.corrupted());
        }
        return Batch.of(prompts);
    }

    private ActivationCache room(Segments segments) {
        if (cache.filter(c -> c.segments().equals(segments)).isEmpty()) {
            close();
            cache = Optional.of(model.allocate(segments, Keep.LAST, model.config().nLayers()));
        }
        return cache.get();
    }

    private static void take(int layer, ActivationCache pass, int[] positions, HeadWrites writes) {
        Block.State state = pass.state(layer);
        Segments segments = pass.segments();
        for (int i = 0; i < positions.length; i++) {
            writes.take(layer, i, Run.Heads.of(state.attention(), segments, 2 * i),
                    Run.Heads.of(state.attention(), segments, 2 * i + 1), positions[i]);
            if (writes.needsSum(layer)) {
                int row = segments.start(2 * i) + positions[i];
                writes.takeSum(layer, i, state.attentionSum().slice(0, row, row + 1));
            }
        }
    }

    /** The final residual stream [P,d] of the clean (0) or the corrupted (1) prompts where the observable is read. */
    private Tensor last(int which, int[] positions, Arena arena) {
        ActivationCache pass = cache.orElseThrow();
        Tensor residual = pass.residual(pass.stopLayer());
        Tensor rows = kernels.allocate(arena, positions.length, model.config().dModel());
        for (int i = 0; i < positions.length; i++) {
            int row = pass.segments().start(2 * i + which) + positions[i];
            kernels.copy(residual.slice(0, row, row + 1), rows.slice(0, i, i + 1));
        }
        return rows;
    }

    @Override
    public void close() {
        cache.ifPresent(ActivationCache::close);
        cache = Optional.empty();
    }
}

package obsprop.analysis.patching;

import java.lang.foreign.Arena;
import java.util.Arrays;
import obsprop.analysis.runs.PromptPair;
import obsprop.kernel.Kernels;
import obsprop.model.ModelConfig;
import obsprop.model.Transformer;
import obsprop.propagation.Observable;
import obsprop.tensor.Tensor;

/**
 * Exact patches of every head of a pair at one position, for any number of observables. What the heads write differently,
 * [L H, d], is made once and kept: that reads every layer's output projection. A table after that reads no weights but the
 * final norm's and the observable's own, some fifteen times faster on a model of 1.3 billion parameters. Not safe for
 * concurrent use.
 */
public final class KeptHeadPatches implements AutoCloseable {
    private final PromptPair pair;
    private final int position;
    private final Kernels kernels;
    private final Arena arena = Arena.ofShared();
    private final Tensor differences;
    private final Tensor scratch;

    /** @param position where observables are read, from 0, or from the end of the prompt with -1 */
    public KeptHeadPatches(PromptPair pair, int position, PatchMode mode) {
        this.pair = pair;
        this.position = pair.clean().position(position);
        Transformer model = pair.model();
        kernels = model.kernels();
        ModelConfig c = model.config();
        try {
            differences = kernels.allocate(arena, c.nLayers() * c.nHeads(), c.dModel());
            scratch = kernels.allocate(arena, c.nLayers() * c.nHeads(), c.dModel());
            takeAll(mode);
        } catch (RuntimeException | Error e) {
            arena.close();
            throw e;
        }
    }

    private void takeAll(PatchMode mode) {
        Transformer model = pair.model();
        ModelConfig c = model.config();
        try (Arena once = Arena.ofShared()) {
            HeadWrites writes = new HeadWrites(model, 1, mode, once);
            writes.take(pair, position);
            for (int l = 0; l < c.nLayers(); l++) {
                writes.written(l, differences.slice(0, l * c.nHeads(), (l + 1) * c.nHeads()));
            }
        }
    }

    /** The effect of patching each head by itself from the corrupted run into the clean one. */
    public HeadEffects table(Observable observable, FinalNorm norm) {
        try (Arena temporary = Arena.ofShared()) {
            EffectMeter meter = new EffectMeter(pair, new Readout(observable, position, norm), temporary);
            kernels.copy(differences, scratch);
            double[] flat = meter.effects(scratch);
            int heads = pair.model().config().nHeads();
            double[][] effect = new double[flat.length / heads][];
            for (int l = 0; l < effect.length; l++) {
                effect[l] = Arrays.copyOfRange(flat, l * heads, (l + 1) * heads);
            }
            return new HeadEffects(meter.clean(), meter.corrupted(), effect);
        }
    }

    @Override
    public void close() {
        arena.close();
    }
}

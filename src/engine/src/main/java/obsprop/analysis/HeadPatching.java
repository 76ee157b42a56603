package obsprop.analysis;

import java.lang.foreign.Arena;

/**
 * Exact path patching of every head, by arithmetic on cached activations: the head's difference is added to the clean
 * final residual stream, a layer's heads at a time. No forward pass is run.
 */
public final class HeadPatching {
    private HeadPatching() {}

    /** The effect of patching each head by itself from the corrupted run into the clean one. */
    public static HeadTable table(PromptPair pair, Readout readout, PatchMode mode) {
        try (Arena arena = Arena.ofShared();
                HeadDifferences differences = new HeadDifferences(pair, mode)) {
            EffectMeter meter = new EffectMeter(pair, readout, arena);
            double[][] effect = new double[pair.model().config().nLayers()][];
            for (int l = 0; l < effect.length; l++) {
                effect[l] = meter.effects(differences.layer(l, meter.position()));
            }
            return new HeadTable(meter.clean(), meter.corrupted(), effect);
        }
    }
}

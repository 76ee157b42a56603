package obsprop.analysis.patching;

import java.lang.foreign.Arena;
import java.util.Arrays;
import obsprop.analysis.runs.PromptPair;

/**
 * Exact path patching of every head, by arithmetic on cached activations: the head's difference is added to the clean
 * final residual stream, a layer's heads at a time. No forward pass is run.
 */
public final class HeadPatching {
    private HeadPatching() {}

    /**
     * The effect of patching each head by itself from the corrupted run into the clean one. For several observables on one
     * pair, {@link KeptHeadPatches} is faster.
     */
    public static HeadEffects table(PromptPair pair, Readout readout, PatchMode mode) {
        try (Arena arena = Arena.ofShared()) {
            EffectMeter meter = new EffectMeter(pair, readout, arena);
            HeadWrites heads = new HeadWrites(pair.model(), 1, mode, arena);
            heads.take(pair, meter.position());
            return meter.effects(heads);
        }
    }

    /**
     * The effect of patching each head where it reads one token by itself: [L][H][T], zero for tokens after the one
     * where the observable is read.
     */
    public static double[][][] byToken(PromptPair pair, Readout readout, PatchMode mode) {
        int length = pair.clean().length();
        try (Arena arena = Arena.ofShared()) {
            HeadDifferences heads = new HeadDifferences(pair, mode);
            EffectMeter meter = new EffectMeter(pair, readout, arena);
            Span tokens = new Span(0, meter.position() + 1);
            double[][][] effect = new double[pair.model().config().nLayers()][pair.model().config().nHeads()][];
            for (int l = 0; l < effect.length; l++) {
                try (Arena scratch = Arena.ofShared()) {
                    double[] flat = meter.effects(heads.byToken(l, meter.position(), tokens, scratch));
                    for (int h = 0; h < effect[l].length; h++) {
                        double[] own = Arrays.copyOfRange(flat, h * tokens.size(), (h + 1) * tokens.size());
                        effect[l][h] = Arrays.copyOf(own, length);
                    }
                }
            }
            return effect;
        }
    }
}

package obsprop.analysis.patching;

import java.lang.foreign.Arena;
import obsprop.analysis.runs.PromptPair;
import obsprop.model.Point;
import obsprop.tensor.Tensor;

/** Turns differences made to the final residual stream of a clean run into effects on an observable. */
public final class EffectMeter {
    private final FinalEffects effects;
    private final int position;
    private final double corrupted;

    public EffectMeter(PromptPair pair, Readout readout, Arena arena) {
        position = pair.clean().position(readout.position());
        int last = pair.model().config().nLayers();
        effects = new FinalEffects(pair.model(), readout, row(pair.clean().residual(last, Point.INPUT)), arena);
        corrupted = effects.values(row(pair.corrupted().residual(last, Point.INPUT)))[0];
    }

    private Tensor row(Tensor residual) {
        return residual.slice(0, position, position + 1);
    }

    /** Where the observable is read, from 0. */
    public int position() {
        return position;
    }

    /** The observable's value on the clean run. */
    public double clean() {
        return effects.clean()[0];
    }

    /** The observable's value on the corrupted run. */
    public double corrupted() {
        return corrupted;
    }

    /**
     * The effect of each difference: {@code n . logits(clean) - n . logits(clean + difference)}.
     *
     * @param differences [R,d], overwritten
     */
    public double[] effects(Tensor differences) {
        return effects.of(differences);
    }

    /** The effect of each head's difference. */
    HeadEffects effects(HeadWrites ofOnePair) {
        return ofOnePair.effects(effects, new double[] {corrupted}).getFirst();
    }
}

package obsprop.analysis.patching;

import java.lang.foreign.Arena;
import obsprop.analysis.runs.PromptPair;
import obsprop.analysis.runs.Unembedded;
import obsprop.kernel.Kernels;
import obsprop.kernel.Write;
import obsprop.model.Point;
import obsprop.model.Transformer;
import obsprop.tensor.Tensor;

/** Turns differences made to the final residual stream of a clean run into effects on an observable. */
public final class EffectMeter {
    private final Transformer model;
    private final Kernels kernels;
    private final FinalNorm finalNorm;
    private final Unembedded unembedded;
    private final int position;
    private final Tensor x;
    private final double clean;
    private final double corrupted;

    public EffectMeter(PromptPair pair, Readout readout, Arena arena) {
        model = pair.model();
        kernels = model.kernels();
        finalNorm = readout.finalNorm();
        unembedded = new Unembedded(model, readout.observable(), arena);
        position = pair.clean().position(readout.position());
        int last = model.config().nLayers();
        x = row(pair.clean().residual(last, Point.INPUT));
        clean = value(x);
        corrupted = value(row(pair.corrupted().residual(last, Point.INPUT)));
    }

    private Tensor row(Tensor residual) {
        return residual.slice(0, position, position + 1);
    }

    private double value(Tensor residual) {
        try (Arena arena = Arena.ofShared()) {
            Tensor copy = kernels.allocate(arena, 1, residual.size(1));
            kernels.copy(residual, copy);
            return normed(copy, arena)[0];
        }
    }

    private double[] normed(Tensor rows, Arena arena) {
        model.finalNorm().forward(kernels, rows, rows, kernels.allocate(arena, rows.size(0), 2));
        return unembedded.values(rows);
    }

    /** Where the observable is read, from 0. */
    public int position() {
        return position;
    }

    /** The observable's value on the clean run. */
    public double clean() {
        return clean;
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
        double[] effects;
        double reference;
        if (finalNorm == FinalNorm.OFF) {
            effects = unembedded.linear(differences);
            reference = 0;
        } else {
            kernels.broadcast(x.select(0, 0), differences, Write.ACCUMULATE);
            try (Arena arena = Arena.ofShared()) {
                effects = normed(differences, arena);
            }
            reference = clean;
        }
        for (int i = 0; i < effects.length; i++) {
            effects[i] = reference - effects[i];
        }
        return effects;
    }
}

package obsprop.analysis.patching;

import java.lang.foreign.Arena;
import java.util.Arrays;
import obsprop.analysis.runs.RowBuffer;
import obsprop.analysis.runs.Unembedded;
import obsprop.kernel.Kernels;
import obsprop.model.Transformer;
import obsprop.tensor.Tensor;

/** What differences made to the final residual stream of P clean prompts, at one position each, do to an observable. */
final class FinalEffects {
    private final Transformer model;
    private final Kernels kernels;
    private final FinalNorm finalNorm;
    private final Unembedded unembedded;
    private final Tensor x;
    private final Arena arena;
    private final RowBuffer stats;
    private final double[] clean;

    /**
     * @param x the clean final residual stream [P,d] where the observable is read; read again by every call
     * @param arena for what calls need, some of it to the end
     */
    FinalEffects(Transformer model, Readout readout, Tensor x, Arena arena) {
        this.model = model;
        kernels = model.kernels();
        finalNorm = readout.finalNorm();
        unembedded = new Unembedded(model, readout.observable(), arena);
        this.x = x;
        this.arena = arena;
        stats = new RowBuffer(kernels, arena, 2);
        clean = values(x);
    }

    /** The observable's values on the final residual streams [P,d] of other prompts. */
    double[] values(Tensor residual) {
        Tensor copy = kernels.allocate(arena, residual.shape());
        kernels.copy(residual, copy);
        return normed(copy);
    }

    private double[] normed(Tensor rows) {
        model.finalNorm().forward(kernels, rows, rows, stats.rows(rows.size(0)));
        return unembedded.values(rows);
    }

    /** The observable's values on the clean prompts, [P]. */
    double[] clean() {
        return clean;
    }

    /**
     * The effect of each difference: {@code n . logits(clean) - n . logits(clean + difference)}.
     *
     * @param differences [P B, d], the B of each prompt one after the other; overwritten
     */
    double[] of(Tensor differences) {
        if (finalNorm == FinalNorm.OFF) {
            return Arrays.stream(unembedded.linear(differences)).map(change -> 0 - change).toArray();
        }
        CleanRows.add(kernels, x, differences);
        double[] effects = normed(differences);
        int each = effects.length / clean.length;
        for (int i = 0; i < effects.length; i++) {
            effects[i] = clean[i / each] - effects[i];
        }
        return effects;
    }
}

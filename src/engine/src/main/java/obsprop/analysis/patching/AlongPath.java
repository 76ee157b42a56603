package obsprop.analysis.patching;

import java.lang.foreign.Arena;
import obsprop.analysis.runs.CachedRun;
import obsprop.analysis.runs.PromptPair;
import obsprop.propagation.HostRows;
import obsprop.propagation.Observable;
import obsprop.propagation.Path;
import obsprop.propagation.error.StepEffect;
import obsprop.tensor.Tensor;

/**
 * The exact effect, along one path alone, of a change of the residual stream where the path begins: what the path's
 * feature vector predicts to first order. Every component reads the clean run plus the difference made before it.
 */
public final class AlongPath implements StepEffect {
    private final PromptPair pair;
    private final Readout readout;
    private final Path path;
    private final PatchMode mode;

    /**
     * The observable is read at the prompt's last position.
     *
     * @param mode {@code OV_ONLY} for feature vectors through frozen patterns, {@code FULL} for exact ones
     * @throws IllegalArgumentException if the path is not legal on the prompt
     */
    public AlongPath(CachedRun clean, Observable observable, Path path, PatchMode mode) {
        this.pair = new PromptPair(clean, clean);
        this.readout = Readout.last(observable);
        this.path = path.resolve(clean.model(), clean.length());
        this.mode = mode;
    }

    @Override
    public double of(double[] change) {
        try (Arena arena = Arena.ofShared()) {
            EffectMeter meter = new EffectMeter(pair, readout, arena);
            PatchedSteps steps = new PatchedSteps(pair, mode);
            Tensor difference = pair.model().kernels().allocate(arena, 1, change.length);
            HostRows.write(pair.model().kernels(), change, difference);
            Span read = path.steps().isEmpty()
                    ? Span.of(meter.position())
                    : Span.of(path.steps().getLast().token());
            Tensor carried = steps.along(path, read, difference, meter.position(), Reach.NAMED, arena);
            return -meter.effects(carried)[0];
        }
    }
}

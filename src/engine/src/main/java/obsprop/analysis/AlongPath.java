package obsprop.analysis;

import java.lang.foreign.Arena;
import java.util.List;
import obsprop.propagation.HostRows;
import obsprop.propagation.Observable;
import obsprop.propagation.Path;
import obsprop.propagation.Step;
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
            List<Step> list = path.steps();
            for (int i = list.size() - 1; i >= 0; i--) {
                int destination = i == 0 ? meter.position() : list.get(i - 1).token();
                difference = steps.through(
                        list.get(i), Span.of(list.get(i).token()), Span.of(destination), difference, arena);
            }
            return -meter.effects(difference)[0];
        }
    }
}

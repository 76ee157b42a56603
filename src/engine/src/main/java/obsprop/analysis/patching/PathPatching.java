package obsprop.analysis.patching;

import java.lang.foreign.Arena;
import obsprop.analysis.runs.PromptPair;
import obsprop.model.Point;
import obsprop.propagation.Path;
import obsprop.propagation.Site;
import obsprop.propagation.Step;
import obsprop.tensor.Tensor;

/**
 * Exact patching of a chain of components. The component furthest from the output reads the corrupted run, each other
 * one the clean run plus the difference that the one before it made, and the last difference is added to the final
 * residual stream. No forward pass is run.
 */
public final class PathPatching {
    private PathPatching() {}

    /** The effect of patching one path, with the observable's values on both runs. */
    public static PathEffect effect(PromptPair pair, Readout readout, PatchMode mode, Path path, Reach reach) {
        try (Arena arena = Arena.ofShared()) {
            EffectMeter meter = new EffectMeter(pair, readout, arena);
            Path resolved = path.resolve(pair.model(), pair.clean().length(), meter.position());
            Tensor difference = difference(pair, mode, resolved, reach, meter.position(), arena);
            return new PathEffect(resolved, meter.clean(), meter.corrupted(), meter.effects(difference)[0]);
        }
    }

    private static Tensor difference(
            PromptPair pair, PatchMode mode, Path path, Reach reach, int position, Arena arena) {
        PatchedSteps steps = new PatchedSteps(pair, mode);
        if (path.steps().isEmpty()) {
            Site output = new Site(pair.model().config().nLayers(), Point.INPUT, position);
            return steps.source(output, Span.of(position), arena);
        }
        Step first = path.steps().getLast();
        Span read = PatchedSteps.span(first, reach, position);
        Tensor source = steps.source(first.reads(pair.model()), read, arena);
        return steps.along(path, read, source, position, reach, arena);
    }
}

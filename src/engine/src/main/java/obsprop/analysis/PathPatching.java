package obsprop.analysis;

import java.lang.foreign.Arena;
import java.util.List;
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
        List<Step> list = path.steps();
        if (list.isEmpty()) {
            return steps.source(
                    new Site(pair.model().config().nLayers(), Point.INPUT, position), Span.of(position), arena);
        }
        Span read = span(list.getLast(), reach, position);
        Tensor difference = steps.source(list.getLast().reads(pair.model()), read, arena);
        for (int i = list.size() - 1; i >= 0; i--) {
            Span write = i == 0 ? Span.of(position) : span(list.get(i - 1), reach, position);
            difference = steps.through(list.get(i), read, write, difference, arena);
            read = write;
        }
        return difference;
    }

    private static Span span(Step step, Reach reach, int position) {
        return reach == Reach.ALL ? new Span(0, position + 1) : Span.of(step.token());
    }
}

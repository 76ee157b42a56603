package obsprop.cli.commands;

import java.util.List;
import java.util.Optional;
import java.util.stream.DoubleStream;
import obsprop.analysis.patching.AlongPath;
import obsprop.analysis.patching.PatchMode;
import obsprop.analysis.runs.CachedRun;
import obsprop.cli.UsageException;
import obsprop.propagation.FeatureVector;
import obsprop.propagation.Observable;
import obsprop.propagation.Path;
import obsprop.propagation.PromptRun;
import obsprop.propagation.error.SelfError;
import obsprop.propagation.error.StepEffect;
import obsprop.propagation.error.TotalEffect;
import obsprop.propagation.path.PathPropagator.Propagated;
import obsprop.propagation.path.PathRules;
import obsprop.propagation.path.PatternRule;
import obsprop.propagation.path.Runs;

/**
 * How well a feature vector predicts effects of steps along itself.
 *
 * @param activationNorm length of the clean activation at the site
 * @param alongPath against the effect along its own path; absent where the pattern is taken as 1, or paths are summed
 * @param total against the effect through the whole rest of the model
 */
record VectorError(double activationNorm, Optional<Part> alongPath, Part total) {
    /** Steps that are shown, in activation lengths. */
    private static final double[] STEPS = {0.01, 0.1, 0.5, 1};

    /** Steps of some lengths, and the largest one good enough. */
    record Part(List<SelfError.Measurement> steps, SelfError.Largest largest) {
        static Part of(FeatureVector feature, StepEffect effect, double resolution, double scale, double share) {
            SelfError self = new SelfError(feature, effect, resolution);
            return new Part(DoubleStream.of(STEPS).mapToObj(step -> self.measure(step * scale)).toList(),
                    self.largestStep(share, scale));
        }
    }

    static VectorError of(
            FeatureVector feature, List<Propagated> parts, Observable observable, PathRules rules, Runs runs, double share) {
        PromptRun clean = runs.clean().orElseThrow(() ->
                new UsageException("--self-error needs a prompt to take steps on: give --prompt or --token-ids"));
        try (TotalEffect total = new TotalEffect(clean, observable, feature.site())) {
            double scale = total.activationNorm();
            Optional<Part> along = Optional.empty();
            if (parts.size() == 1 && rules.pattern() != PatternRule.ONE) {
                PatchMode mode = rules.pattern() == PatternRule.EXACT ? PatchMode.FULL : PatchMode.OV_ONLY;
                Path path = Path.parse(feature.provenance().path());
                StepEffect effect =
                        new AlongPath(new CachedRun(clean.cache(), clean.prompt()), observable, path, mode);
                along = Optional.of(Part.of(feature, effect, total.resolution(), scale, share));
            }
            return new VectorError(scale, along, Part.of(feature, total, total.resolution(), scale, share));
        }
    }
}

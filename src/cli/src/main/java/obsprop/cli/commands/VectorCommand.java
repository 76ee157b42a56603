package obsprop.cli.commands;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import obsprop.cli.UsageException;
import obsprop.cli.options.Choice;
import obsprop.cli.options.CommonOptions;
import obsprop.cli.options.ObservableOptions;
import obsprop.cli.options.OptionalValue;
import obsprop.cli.options.PromptPairOptions;
import obsprop.cli.output.Report;
import obsprop.cli.session.MemoryPlan;
import obsprop.cli.session.Session;
import obsprop.cli.tokens.Prompt;
import obsprop.cli.tokens.ResolvedObservable;
import obsprop.kernel.NormRule;
import obsprop.model.ActivationCache;
import obsprop.model.Batch;
import obsprop.propagation.FeatureVector;
import obsprop.propagation.Path;
import obsprop.propagation.PromptRun;
import obsprop.propagation.path.MlpPoint;
import obsprop.propagation.path.PathPropagator;
import obsprop.propagation.path.PathPropagator.Propagated;
import obsprop.propagation.path.PathRules;
import obsprop.propagation.path.PatternRule;
import obsprop.propagation.path.Runs;
import picocli.CommandLine.Command;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;
import picocli.CommandLine.TypeConversionException;

/** The feature vector of an observable along paths. */
@Command(name = "vector", mixinStandardHelpOptions = true, sortOptions = false,
        description = "Pulls an observable back along a path of components to its feature vector. Paths of heads alone need"
                + " no prompt with --norm weight-only or none.")
public final class VectorCommand implements Callable<Report> {
    @Mixin
    private CommonOptions common;

    @Mixin
    private ObservableOptions observables;

    @Mixin
    private PromptPairOptions prompts;

    @Option(names = "--path", paramLabel = "PATH", required = true, converter = PathConverter.class,
            description = "from the output backwards, as in 'mlp2@-1 <= attn1.0@3'; repeatable: vectors at one site are summed")
    private List<Path> paths = new ArrayList<>();

    @Option(names = "--norm", paramLabel = "RULE", defaultValue = "exact", converter = NormConverter.class,
            description = "exact, frozen, paper, weight-only or none, for all norms (default: ${DEFAULT-VALUE})")
    private NormRule norm;

    @Option(names = "--final-norm", paramLabel = "RULE", converter = NormConverter.class,
            description = "another rule for the norm before the unembedding")
    private Optional<NormRule> finalNorm;

    @Option(names = "--pattern", paramLabel = "RULE", converter = PatternConverter.class,
            description = "attention patterns: one (taken as 1), frozen (their values on the prompt), exact (through queries"
                    + " and keys too); default: one with --norm weight-only or none, else frozen")
    private Optional<PatternRule> pattern;

    @Option(names = "--point", paramLabel = "WHERE", defaultValue = "clean", converter = PointConverter.class,
            description = "where MLPs are linearised: clean, corrupted, boundary or nearest-boundary (default: ${DEFAULT-VALUE})")
    private MlpPoint point;

    @Option(names = "--self-error", paramLabel = "SHARE", arity = "0..1", fallbackValue = "0.1",
            preprocessor = OptionalValue.class,
            description = "also report predicted and actual effects of steps along the vector, and the largest step whose error"
                    + " stays under SHARE (default: 0.1) of the prediction")
    private Optional<Double> share;

    @Option(names = "--out", paramLabel = "FILE", description = "a safetensors file for the vector")
    private Optional<java.nio.file.Path> out;

    /** Reads a path's text form. */
    static final class PathConverter implements ITypeConverter<Path> {
        @Override
        public Path convert(String text) {
            try {
                return Path.parse(text);
            } catch (IllegalArgumentException e) {
                throw new TypeConversionException(e.getMessage());
            }
        }
    }

    static final class NormConverter extends Choice<NormRule> {
        NormConverter() {
            super(NormRule.values());
        }
    }

    static final class PatternConverter extends Choice<PatternRule> {
        PatternConverter() {
            super(PatternRule.values());
        }
    }

    static final class PointConverter extends Choice<MlpPoint> {
        PointConverter() {
            super(MlpPoint.values());
        }
    }

    @Override
    public Report call() {
        out.ifPresent(file -> common.requireOutput(file, "--out"));
        if (share.isPresent() && !(share.get() > 0 && share.get() < 1)) {
            throw new UsageException("--self-error: " + share.get() + " is no share: give a number between 0 and 1, as 0.1");
        }
        try (Session session = common.open()) {
            List<ResolvedObservable> resolved = observables.resolve(session.vocabulary());
            if (resolved.size() != 1) {
                throw new UsageException("vector takes one observable, not " + resolved.size()
                        + ": run it once for each, or write a weighted sum");
            }
            try (PromptRuns runs = runs(session)) {
                return report(session, resolved.getFirst(), runs.runs());
            }
        }
    }

    private PromptRuns runs(Session session) {
        int context = session.config().maxPositions();
        if (!prompts.hasClean()) {
            if (prompts.hasCorrupted()) {
                throw new UsageException("a corrupted prompt without a clean one: give --prompt or --token-ids too");
            }
            return new PromptRuns(List.of());
        }
        List<int[]> given = new ArrayList<>();
        Prompt clean = prompts.clean(session.vocabulary(), context, common);
        given.add(clean.array());
        if (prompts.hasCorrupted()) {
            given.add(prompts.corrupted(clean, session.vocabulary(), context, common).array());
        }
        return new PromptRuns(List.of(session.model().forward(Batch.of(given),
                MemoryPlan.of(session.model()).keep(given.size() * clean.length()), session.config().nLayers())));
    }

    /** The pass over the prompts that were given, if any. */
    private record PromptRuns(List<ActivationCache> pass) implements AutoCloseable {
        Runs runs() {
            if (pass.isEmpty()) {
                return Runs.NONE;
            }
            PromptRun clean = new PromptRun(pass.getFirst(), 0);
            return pass.getFirst().segments().count() == 1
                    ? Runs.of(clean)
                    : Runs.of(clean, new PromptRun(pass.getFirst(), 1));
        }

        @Override
        public void close() {
            pass.forEach(ActivationCache::close);
        }
    }

    private Report report(Session session, ResolvedObservable observable, Runs runs) {
        PathRules all = PathRules.of(norm).with(point);
        PathRules rules = new PathRules(finalNorm.orElse(norm), norm, pattern.orElse(all.pattern()), point);
        PathPropagator propagator = new PathPropagator(session.model(), session.name());
        List<Propagated> parts = paths.stream()
                .map(path -> propagator.propagate(observable.forEngine(), path, rules, runs)).toList();
        FeatureVector feature = FeatureVector.sum(parts.stream().map(Propagated::feature).toList());
        Optional<VectorError> error = share.map(most -> VectorError.of(
                feature, parts, observable.forEngine(), rules, runs, most));
        for (double value : feature.direction()) {
            session.requireFinite("the feature vector", (float) value);
        }
        Optional<Double> score = score(feature, runs);
        score.ifPresent(value -> session.requireFinite("the score y . x", value));
        out.ifPresent(feature::save);
        return new VectorReport(observable, feature, score,
                parts.stream().flatMap(part -> part.mlps().stream()).toList(), error, out);
    }

    /** {@code y . x} at the clean prompt. */
    private static Optional<Double> score(FeatureVector feature, Runs runs) {
        return runs.clean().map(clean -> feature.dot(clean.activation(feature.site())));
    }
}

package obsprop.cli.commands;

import java.lang.foreign.Arena;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import obsprop.analysis.patching.EffectMeter;
import obsprop.analysis.patching.FoundPath;
import obsprop.analysis.patching.OracleAgreement;
import obsprop.analysis.patching.Readout;
import obsprop.analysis.runs.CachedRun;
import obsprop.analysis.runs.PromptPair;
import obsprop.analysis.runs.SubstituteRun;
import obsprop.analysis.search.PathAgreement;
import obsprop.cli.UsageException;
import obsprop.cli.options.Choice;
import obsprop.cli.options.CommonOptions;
import obsprop.cli.options.ObservableOptions;
import obsprop.cli.options.PromptPairOptions;
import obsprop.cli.session.MemoryPlan;
import obsprop.cli.session.Session;
import obsprop.cli.tokens.Prompt;
import obsprop.cli.tokens.ResolvedObservable;
import obsprop.kernel.NormRule;
import obsprop.model.ActivationCache;
import obsprop.model.Batch;
import obsprop.propagation.PromptRun;
import obsprop.propagation.path.PathPropagator;
import obsprop.propagation.path.PathRules;
import obsprop.propagation.path.Runs;

/** A model with a clean and a corrupted prompt run through it, and one observable. */
final class PairSession implements AutoCloseable {
    private final Session session;
    private final ActivationCache cache;
    private final Optional<SubstituteRun> substitute;
    private final Prompt clean;
    private final ResolvedObservable observable;
    private final Readout readout;
    private final PatchOptions options;

    private PairSession(Session session, ObservableOptions observables, PromptPairOptions prompts, PatchOptions options,
            CommonOptions common) {
        this.session = session;
        this.options = options;
        int context = session.config().maxPositions();
        observable = one(observables.resolve(session.vocabulary()));
        clean = prompts.clean(session.vocabulary(), context, common);
        readout = options.readout(observable.forEngine());
        clean.position(readout.position(), "--position");
        PromptPair.requireDirectEffects(session.model(), "patching");
        if (options.ablation().isPresent() && prompts.hasCorrupted()) {
            throw new UsageException("--ablate and a corrupted prompt are both given: leave one of them out");
        }
        List<int[]> tokens = options.ablation().isPresent()
                ? List.of(clean.array())
                : List.of(clean.array(), prompts.corrupted(clean, session.vocabulary(), context, common).array());
        substitute = options.ablation().map(how -> how.run(session, clean.length(), options.over(), prompts, common));
        cache = session.model().forward(Batch.of(tokens),
                MemoryPlan.of(session.model()).keep(2 * clean.length()), session.config().nLayers());
    }

    /** Opens the model and runs the prompts. */
    static PairSession open(
            CommonOptions common, ObservableOptions observables, PromptPairOptions prompts, PatchOptions options) {
        Session session = common.open();
        try {
            return new PairSession(session, observables, prompts, options, common);
        } catch (RuntimeException e) {
            session.close();
            throw e;
        }
    }

    /** The one observable of a command that takes no more. */
    static ResolvedObservable one(List<ResolvedObservable> observables) {
        if (observables.size() != 1) {
            throw new UsageException(observables.size() + " observables are given, but this command takes one: "
                    + "leave the others out");
        }
        return observables.getFirst();
    }

    Session session() {
        return session;
    }

    ResolvedObservable observable() {
        return observable;
    }

    Readout readout() {
        return readout;
    }

    Prompt clean() {
        return clean;
    }

    PromptPair pair() {
        CachedRun run = new CachedRun(cache, 0);
        return substitute.isPresent()
                ? new PromptPair(run, substitute.get())
                : new PromptPair(run, new CachedRun(cache, 1));
    }

    /** What a file of effects says about itself. */
    Map<String, String> metadata() {
        Map<String, String> metadata = metadata(session, observable, options);
        options.ablation().ifPresent(how -> metadata.put("ablation", Choice.label(how)));
        return metadata;
    }

    /** The same where the prompts are many. */
    static Map<String, String> metadata(Session session, ResolvedObservable observable, PatchOptions options) {
        Readout readout = options.readout(observable.forEngine());
        return new TreeMap<>(Map.of("model", session.name(), "observable", observable.name(),
                "rule", Choice.label(options.mode()),
                "final_norm", Choice.label(readout.finalNorm())));
    }

    /** The observable on both prompts. */
    PathsReport.Values values() {
        try (Arena arena = Arena.ofShared()) {
            EffectMeter meter = new EffectMeter(pair(), readout, arena);
            return new PathsReport.Values(meter.clean(), meter.corrupted());
        }
    }

    /** How much the feature vectors of paths, exact at the clean prompt, point the same way. */
    double[][] cosines(List<FoundPath> paths) {
        PathPropagator propagator = new PathPropagator(session.model(), session.name());
        PathRules rules = PathRules.of(NormRule.EXACT);
        Runs runs = Runs.of(new PromptRun(cache, 0));
        return PathAgreement.cosines(paths.stream()
                .map(found -> propagator.propagate(observable.forEngine(), found.path(), rules, runs).feature())
                .toList());
    }

    /** Says on stderr how the check of a sample went. */
    static void tell(CommonOptions common, OracleAgreement agreement) {
        common.note(agreement.toString());
    }

    @Override
    public void close() {
        cache.close();
        substitute.ifPresent(SubstituteRun::close);
        session.close();
    }
}

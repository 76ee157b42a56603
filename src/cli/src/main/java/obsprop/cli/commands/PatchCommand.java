package obsprop.cli.commands;

import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import obsprop.analysis.patching.FoundPath;
import obsprop.analysis.patching.HeadEffects;
import obsprop.analysis.patching.HeadPatching;
import obsprop.analysis.patching.MeanHeadEffects;
import obsprop.analysis.patching.MeanHeadPatching;
import obsprop.analysis.patching.OracleAgreement;
import obsprop.analysis.patching.PathEffect;
import obsprop.analysis.patching.PathPatching;
import obsprop.analysis.patching.Reach;
import obsprop.analysis.patching.Readout;
import obsprop.analysis.runs.CachedRun;
import obsprop.analysis.runs.PromptPair;
import obsprop.analysis.runs.TokenPair;
import obsprop.cli.UsageException;
import obsprop.cli.options.Choice;
import obsprop.cli.options.CommonOptions;
import obsprop.cli.options.ObservableOptions;
import obsprop.cli.options.PromptPairOptions;
import obsprop.cli.output.Report;
import obsprop.cli.session.MemoryPlan;
import obsprop.cli.session.Session;
import obsprop.cli.tokens.ResolvedObservable;
import obsprop.model.ActivationCache;
import obsprop.model.Batch;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;
import obsprop.tensor.io.SafetensorsWriter;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Exact path patching: every head by itself, or one path. */
@Command(name = "patch", mixinStandardHelpOptions = true, sortOptions = false,
        description = "What an observable loses when a component of the clean run works as in the corrupted one: for every"
                + " head by itself, or along one path.")
public final class PatchCommand implements Callable<Report> {
    @Mixin
    private CommonOptions common;

    @Mixin
    private ObservableOptions observables;

    @Mixin
    private PromptPairOptions prompts;

    @Option(names = "--heads", description = "patch every head by itself")
    private boolean heads;

    @Option(names = "--pairs", paramLabel = "FILE",
            description = "with --heads: the mean over the prompt pairs of a .jsonl file, {\"clean\": ..., \"corrupted\": ...}"
                    + " a line, with standard errors")
    private Optional<Path> pairs;

    @Option(names = "--path", paramLabel = "PATH", converter = VectorCommand.PathConverter.class,
            description = "patch one path, written from the output backwards, as in 'mlp2@-1 <= attn1.0@3 <= embedding@3'")
    private Optional<obsprop.propagation.Path> path;

    @Option(names = "--tokens", paramLabel = "named|all", converter = ReachConverter.class,
            description = "whether the components of a path read the difference at the token that the path names, or at all"
                    + " (default: named)")
    private Optional<Reach> reach;

    @Mixin
    private PatchOptions options;

    @Option(names = "--out", paramLabel = "FILE", description = "a safetensors file for the effects")
    private Optional<Path> out;

    /** Reads {@code named} and {@code all}. */
    static final class ReachConverter extends Choice<Reach> {
        ReachConverter() {
            super(Reach.values());
        }
    }

    @Override
    public Report call() {
        if (heads == path.isPresent()) {
            throw new UsageException(heads ? "--heads and --path are both given: leave one of them out"
                    : "nothing to patch: give --heads for every head, or --path 'mlp2@-1 <= attn1.0@3'");
        }
        if (heads && reach.isPresent()) {
            throw new UsageException("--tokens goes with --path: a head patched by itself always reads at all tokens");
        }
        out.ifPresent(file -> common.requireOutput(file, "--out"));
        if (pairs.isPresent()) {
            return mean(pairs.get());
        }
        try (PairSession session = PairSession.open(common, observables, prompts, options)) {
            PatchReport report = heads ? heads(session) : path(session);
            session.session().requireFinite("an effect", report.effect());
            report.oracle().ifPresent(agreement -> PairSession.tell(common, agreement));
            out.ifPresent(file -> write(file, report));
            return report;
        }
    }

    private Report mean(Path file) {
        if (!heads || prompts.hasClean() || prompts.hasCorrupted() || options.ablation().isPresent()) {
            throw new UsageException("--pairs goes with --heads, and holds all prompts: leave out --path, --ablate and prompts");
        }
        try (Session session = common.open()) {
            ResolvedObservable observable = PairSession.one(observables.resolve(session.vocabulary()));
            PromptPair.requireDirectEffects(session.model(), "patching");
            List<TokenPair> all = new PairFile(file, prompts, common).read(session);
            Readout readout = options.readout(observable.forEngine());
            List<HeadEffects> tables = new ArrayList<>();
            MeanHeadEffects found = MeanHeadPatching.over(session.model(), all, readout, options.mode(), tables::add);
            session.requireFinite("an effect", found.effect());
            Optional<OracleAgreement> oracle = options.check(sample -> {
                int drawn = new Random(sample.seed()).nextInt(all.size());
                OracleAgreement agreement = rerun(session, all.get(drawn), readout, tables.get(drawn), sample);
                common.note("prompt pair " + (drawn + 1) + ": " + agreement);
                return agreement;
            });
            PatchMeanReport report = new PatchMeanReport(
                    PairSession.metadata(session, observable, options), observable, found, oracle);
            out.ifPresent(target -> write(target, report));
            return report;
        }
    }

    /** Checks the table of one of many pairs. */
    private OracleAgreement rerun(
            Session session, TokenPair pair, Readout readout, HeadEffects table, OracleAgreement.Sample sample) {
        try (ActivationCache cache = session.model().forward(Batch.of(List.of(pair.clean(), pair.corrupted())),
                MemoryPlan.of(session.model()).keep(2L * pair.clean().length), session.config().nLayers())) {
            PromptPair both = new PromptPair(new CachedRun(cache, 0), new CachedRun(cache, 1));
            return OracleAgreement.of(both, readout, options.mode(), table, sample);
        }
    }

    private PatchReport heads(PairSession session) {
        HeadEffects found = HeadPatching.table(session.pair(), session.readout(), options.mode());
        Optional<OracleAgreement> oracle = options.check(sample -> OracleAgreement.of(
                session.pair(), session.readout(), options.mode(), found, sample));
        return new PatchReport(session.metadata(), session.observable(), Optional.empty(),
                found.clean(), found.corrupted(), found.effect(), oracle);
    }

    private PatchReport path(PairSession session) {
        PathEffect found = PathPatching.effect(session.pair(), session.readout(), options.mode(),
                path.orElseThrow(), reach());
        FoundPath value = new FoundPath(found.path(), found.effect());
        Optional<OracleAgreement> oracle = options.check(sample -> OracleAgreement.of(
                session.pair(), session.readout(), options.mode(), reach(), List.of(value), sample));
        return new PatchReport(session.metadata(), session.observable(), Optional.of(found.path()),
                found.clean(), found.corrupted(), new double[][] {{found.effect()}}, oracle);
    }

    private Reach reach() {
        return reach.orElse(Reach.NAMED);
    }

    private static void write(Path file, PatchReport report) {
        try (Arena arena = Arena.ofConfined()) {
            Tensor table = tensor(report.effect(), arena);
            Map<String, Tensor> tensors = Map.of("effect", report.path().isPresent() ? table.reshape(1) : table);
            SafetensorsWriter.write(file, tensors, report.metadata());
        }
    }

    private static void write(Path file, PatchMeanReport report) {
        try (Arena arena = Arena.ofConfined()) {
            Map<String, Tensor> tensors = new TreeMap<>(Map.of("effect", tensor(report.found().effect(), arena),
                    "standard_error", tensor(report.found().standardError(), arena)));
            SafetensorsWriter.write(file, tensors, report.metadata());
        }
    }

    private static Tensor tensor(double[][] table, Arena arena) {
        Tensor tensor = Tensor.allocate(arena, DType.F32, table.length, table[0].length);
        for (int l = 0; l < table.length; l++) {
            for (int h = 0; h < table[l].length; h++) {
                tensor.set(table[l][h], l, h);
            }
        }
        return tensor;
    }
}

package obsprop.cli.commands;

import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import obsprop.analysis.heads.HeadAnalysis;
import obsprop.analysis.heads.HeadNormRule;
import obsprop.analysis.heads.HeadNull;
import obsprop.analysis.heads.HeadTable;
import obsprop.cli.UsageException;
import obsprop.cli.options.Choice;
import obsprop.cli.options.CommonOptions;
import obsprop.cli.options.ObservableOptions;
import obsprop.cli.output.Report;
import obsprop.cli.session.Session;
import obsprop.cli.tokens.ResolvedObservable;
import obsprop.propagation.Observable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Data-free feature norms of every head, and how two observables' feature vectors relate there. */
@Command(name = "heads", mixinStandardHelpOptions = true, sortOptions = false,
        description = "How much each attention head can contribute to an observable, by the weights alone; with two"
                + " observables also cosine and coupling of their feature vectors.")
public final class HeadsCommand implements Callable<Report> {
    @Mixin
    private CommonOptions common;

    @Mixin
    private ObservableOptions observables;

    @Option(names = "--norm", paramLabel = "RULE", defaultValue = "none", converter = NormWord.class,
            description = "none leaves norms out, weight-only applies their gains (default: ${DEFAULT-VALUE})")
    private HeadNormRule norm;

    @Option(names = "--null", paramLabel = "DRAWS",
            description = "add p-values: norms and cosines against those of DRAWS observables with the same weights on random tokens")
    private Optional<Integer> draws;

    @Option(names = "--seed", paramLabel = "N", defaultValue = "0", description = "of --null (default: ${DEFAULT-VALUE})")
    private long seed;

    private static final class NormWord extends Choice<HeadNormRule> {
        NormWord() {
            super(HeadNormRule.values());
        }
    }

    @Override
    public Report call() {
        try (Session session = common.open()) {
            List<ResolvedObservable> resolved = observables.resolve(session.vocabulary());
            if (norm == HeadNormRule.WEIGHT_ONLY && !session.model().hasDirectEffects()) {
                throw new UsageException("--norm weight-only: in this model norms stand on the residual stream itself, so"
                        + " no head has a direct path to the output: use --norm none");
            }
            List<Observable> engine = resolved.stream().map(ResolvedObservable::forEngine).toList();
            HeadAnalysis analysis = new HeadAnalysis(session.model(), norm);
            HeadTable table = analysis.table(engine);
            requireFinite(table, session);
            return new HeadsReport(session.name(), Choice.label(norm), resolved, table,
                    draws.map(count -> new HeadNull(analysis, count, seed).test(engine)));
        }
    }

    private static void requireFinite(HeadTable table, Session session) {
        for (int l = 0; l < table.nLayers(); l++) {
            for (int h = 0; h < table.nHeads(); h++) {
                for (int k = 0; k < table.directions(); k++) {
                    session.requireFinite("the norm of the feature vector of L" + l + "H" + h, table.norm(l, h, k));
                }
            }
        }
    }
}

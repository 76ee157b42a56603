package obsprop.cli.commands.measure;

import java.util.List;
import java.util.concurrent.Callable;
import obsprop.analysis.scores.ScoreState;
import obsprop.cli.UsageException;
import obsprop.cli.options.CommonOptions;
import obsprop.cli.options.NamedVector;
import obsprop.cli.options.TextOptions;
import obsprop.cli.options.VectorOptions;
import obsprop.cli.output.Report;
import obsprop.cli.session.Session;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Feature scores over texts. */
@Command(name = "score", mixinStandardHelpOptions = true, sortOptions = false,
        description = "The score y . x of every token of some texts, for all vectors in one pass: the highest and the lowest"
                + " in their context, mean, spread and histogram.")
public final class ScoreCommand implements Callable<Report> {
    @Mixin
    private CommonOptions common;

    @Mixin
    private VectorOptions vectors;

    @Mixin
    private TextOptions texts;

    @Mixin
    private ScoringOptions scoring;

    @Option(names = {"-k", "--top"}, paramLabel = "N", defaultValue = "10",
            description = "how many of the highest and of the lowest scores are shown (default: ${DEFAULT-VALUE})")
    private int k;

    @Option(names = "--context", paramLabel = "N", defaultValue = "12",
            description = "how many tokens before and after each are shown with it (default: ${DEFAULT-VALUE})")
    private int context;

    @Override
    public Report call() {
        if (k < 0 || context < 0) {
            throw new UsageException("--top and --context must not be negative");
        }
        texts.files();
        try (Session session = common.open()) {
            List<NamedVector> named = vectors.all(session, common);
            ScoreState state = scoring.run(session, texts, named, List.of(), new ScoringOptions.Sizes(k, context, 0), common);
            return ScoreReport.of(session, named, state);
        }
    }
}

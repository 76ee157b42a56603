package obsprop.cli.commands.measure;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import obsprop.analysis.coupling.Coupling;
import obsprop.analysis.scores.PairScores;
import obsprop.analysis.scores.ScoreState;
import obsprop.cli.UsageException;
import obsprop.cli.options.CommonOptions;
import obsprop.cli.options.Count;
import obsprop.cli.options.NamedVector;
import obsprop.cli.options.TextOptions;
import obsprop.cli.options.VectorOptions;
import obsprop.cli.output.Report;
import obsprop.cli.session.Session;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** How vectors relate, by prediction and by measurement. */
@Command(name = "compare", mixinStandardHelpOptions = true, sortOptions = false,
        description = "Cosine and coupling of vectors, and what they predict of one's scores from another's; with --text the"
                + " measured slope and r^2 beside it. Each vector is scored at its own site.")
public final class CompareCommand implements Callable<Report> {
    @Spec
    private CommandSpec spec;

    @Mixin
    private CommonOptions common;

    @Mixin
    private VectorOptions vectors;

    @Option(names = "--given", paramLabel = "SCORE",
            description = "predict the other score where the first one is SCORE; needs --radius")
    private Optional<Double> given;

    @Option(names = "--radius", paramLabel = "LENGTH", description = "||x|| that the prediction assumes (the command norms tells)")
    private Optional<Double> radius;

    @Mixin
    private TextOptions texts;

    @Mixin
    private ScoringOptions scoring;

    @Option(names = "--replicates", paramLabel = "N", defaultValue = "200",
            description = "of the bootstrap, whose 95 %% intervals are over windows (default: ${DEFAULT-VALUE})")
    private int replicates;

    @Override
    public Report call() {
        if (given.isPresent() != radius.isPresent()) {
            throw new UsageException("--given and --radius predict together: give both or neither");
        }
        if (radius.isPresent() && !(radius.get() > 0 && radius.get() < Double.POSITIVE_INFINITY)) {
            throw new UsageException("--radius: " + radius.get() + " is no length: give a number above 0");
        }
        Count.atLeastOne("--replicates", replicates);
        if (!texts.given()) {
            refuseOptionsOfTexts();
        }
        try (Session session = common.open()) {
            List<NamedVector> named = vectors.all(session, common);
            if (named.size() < 2) {
                throw new UsageException("a comparison needs two vectors: give another --vector or --observable");
            }
            List<PairScores.Pair> pairs = pairs(named.size());
            Optional<ScoreState> measured = texts.given()
                    ? Optional.of(scoring.run(session, texts, named, pairs, new ScoringOptions.Sizes(0, 0, replicates), common))
                    : Optional.empty();
            List<CompareReport.Related> related = new ArrayList<>();
            for (int i = 0; i < pairs.size(); i++) {
                int number = i;
                Coupling coupling = Coupling.of(
                        named.get(pairs.get(i).from()).direction(), named.get(pairs.get(i).to()).direction());
                related.add(new CompareReport.Related(named.get(pairs.get(i).from()), named.get(pairs.get(i).to()), coupling,
                        given.map(score -> coupling.given(score, radius.orElseThrow())),
                        measured.map(state -> state.pairs().get(number))));
            }
            return new CompareReport(session.name(), named, related, measured.map(ScoreState::tokens));
        }
    }

    /** Without texts these would do nothing. */
    private void refuseOptionsOfTexts() {
        for (OptionSpec option : spec.commandLine().getParseResult().matchedOptions()) {
            String name = option.longestName();
            if (name.equals("--replicates") || spec.mixins().get("texts").findOption(name) != null
                    || spec.mixins().get("scoring").findOption(name) != null) {
                throw new UsageException(name + ": is about texts, and none is given: add --text, or leave it out");
            }
        }
    }

    /** Every two vectors both ways, those in the order given first. */
    private static List<PairScores.Pair> pairs(int count) {
        List<PairScores.Pair> forward = new ArrayList<>();
        List<PairScores.Pair> back = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            for (int j = i + 1; j < count; j++) {
                forward.add(new PairScores.Pair(i, j));
                back.add(new PairScores.Pair(j, i));
            }
        }
        forward.addAll(back);
        return forward;
    }
}

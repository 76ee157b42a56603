package obsprop.cli.commands.measure;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import obsprop.analysis.steering.Edit;
import obsprop.analysis.steering.Steering;
import obsprop.cli.UsageException;
import obsprop.cli.options.CommonOptions;
import obsprop.cli.options.NamedVector;
import obsprop.cli.options.PromptPairOptions;
import obsprop.cli.options.VectorOptions;
import obsprop.cli.output.Report;
import obsprop.cli.session.Session;
import obsprop.cli.tokens.Prompt;
import obsprop.cli.tokens.ResolvedObservable;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Changes the residual stream along a vector and reruns the rest. */
@Command(name = "steer", mixinStandardHelpOptions = true, sortOptions = false,
        description = "Adds, sets or projects out a vector at its site and reruns the layers above it: the observables before"
                + " and after, KL(clean || steered) of the next token in nats, the likeliest tokens.")
public final class SteerCommand implements Callable<Report> {
    @Mixin
    private CommonOptions common;

    @Mixin
    private VectorOptions vectors;

    @Mixin
    private PromptPairOptions prompts;

    @ArgGroup(multiplicity = "1")
    private Change change;

    @Option(names = "--factor", paramLabel = "F",
            description = "with --pairwise: how far to go towards the corrupted prompt's score; 1 reaches it, 2 goes as far again"
                    + " (default: 1)")
    private Optional<Double> factor;

    @Option(names = "--positions", paramLabel = "LIST", split = ",",
            description = "the tokens to edit, from 0, or from the end with -1 (default: the site's)")
    private List<Integer> positions = new ArrayList<>();

    @Option(names = "--all-positions", description = "edit every token")
    private boolean allPositions;

    @Option(names = {"-k", "--top"}, paramLabel = "N", defaultValue = "10",
            description = "how many of the likeliest tokens are shown (default: ${DEFAULT-VALUE})")
    private int k;

    /** What is done; one of them. */
    static final class Change {
        @Option(names = "--add", paramLabel = "C", description = "x + C y")
        private Optional<Double> add;

        @Option(names = "--set", paramLabel = "SCORE", description = "replace the component along y, so that y . x = SCORE")
        private Optional<Double> set;

        @Option(names = "--project-out", description = "remove the component along y")
        private boolean projectOut;

        @Option(names = "--pairwise", description = "give the component along y the score that it has in the corrupted prompt")
        private boolean pairwise;
    }

    @Override
    public Report call() {
        check();
        try (Session session = common.open()) {
            List<NamedVector> candidates = vectors.filesOrElseObservables(session, common);
            if (candidates.size() != 1) {
                throw new UsageException(candidates.size() + " vectors to steer along: give one --vector (observables beside it"
                        + " are only reported), or one --observable alone");
            }
            NamedVector vector = candidates.getFirst();
            Prompt prompt = prompts.clean(session.vocabulary(), session.config().maxPositions(), common);
            List<Integer> edited = edited(prompt, vector);
            try (Steering steering = new Steering(session.model(), prompt.array(), vector.scored())) {
                Map<Integer, Edit> edits = edits(session, prompt, vector, edited);
                double[] scores = steering.scores();
                session.requireFinite("a score y . x", scores);
                session.requireFinite("a logit", steering.before().logits());
                Steering.Outcome outcome = steering.steer(edits);
                if (!Arrays.stream(outcome.after().logits()).allMatch(Double::isFinite)) {
                    throw new UsageException("the steered model's logits are not finite: give --add, --set or --factor"
                            + " a smaller number");
                }
                List<ResolvedObservable> observables = vectors.observables(session);
                return SteerReport.of(session, vector, prompt, edits, scores, outcome, observables, k);
            }
        }
    }

    private void check() {
        if (k < 0) {
            throw new UsageException("--top: " + k + " is negative");
        }
        Stream.of(change.add, change.set, factor).flatMap(Optional::stream).filter(value -> !Double.isFinite(value)).findFirst()
                .ifPresent(value -> {
                    throw new UsageException("--add, --set or --factor: " + value + " is not finite: give a number such as 1.5");
                });
        if (allPositions && !positions.isEmpty()) {
            throw new UsageException("--positions and --all-positions both say which tokens: leave one of them out");
        }
        if (change.pairwise != prompts.hasCorrupted()) {
            throw new UsageException("--pairwise and a corrupted prompt (--corrupted) belong together: give both or neither");
        }
        if (factor.isPresent() && !change.pairwise) {
            throw new UsageException("--factor belongs to --pairwise: leave it out");
        }
    }

    private List<Integer> edited(Prompt prompt, NamedVector vector) {
        if (allPositions) {
            return IntStream.range(0, prompt.length()).boxed().toList();
        }
        if (positions.isEmpty()) {
            return List.of(prompt.position(vector.site().position(), "--site"));
        }
        return positions.stream().map(position -> prompt.position(position, "--positions")).distinct().sorted().toList();
    }

    private Map<Integer, Edit> edits(Session session, Prompt prompt, NamedVector vector, List<Integer> edited) {
        Map<Integer, Edit> edits = new LinkedHashMap<>();
        if (change.pairwise) {
            Prompt corrupted = prompts.corrupted(prompt, session.vocabulary(), session.config().maxPositions(), common);
            try (Steering other = new Steering(session.model(), corrupted.array(), vector.scored())) {
                double[] scores = other.scores();
                edited.forEach(position -> edits.put(position, new Edit.Pairwise(scores[position], factor.orElse(1.0))));
            }
            return edits;
        }
        Edit edit = change.add.<Edit>map(Edit.Add::new)
                .or(() -> change.set.map(Edit.Set::new)).orElseGet(Edit.ProjectOut::new);
        edited.forEach(position -> edits.put(position, edit));
        return edits;
    }
}

package obsprop.cli.commands;

import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import obsprop.analysis.patching.FoundPath;
import obsprop.analysis.patching.OracleAgreement;
import obsprop.analysis.patching.Reach;
import obsprop.analysis.search.PathSearch;
import obsprop.analysis.search.Rank;
import obsprop.analysis.search.SearchOptions;
import obsprop.cli.options.Choice;
import obsprop.cli.options.CommonOptions;
import obsprop.cli.options.Count;
import obsprop.cli.options.ObservableOptions;
import obsprop.cli.options.PromptPairOptions;
import obsprop.cli.output.Report;
import obsprop.propagation.Path;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Beam search for the paths that matter. */
@Command(name = "paths", mixinStandardHelpOptions = true, sortOptions = false,
        description = "Searches for the paths through heads and MLPs, from the output to the embedding, whose patching"
                + " changes an observable most.")
public final class PathsCommand implements Callable<Report> {
    @Mixin
    private CommonOptions common;

    @Mixin
    private ObservableOptions observables;

    @Mixin
    private PromptPairOptions prompts;

    @Option(names = "--depth", paramLabel = "N", defaultValue = "4",
            description = "how many components a path has at most (default: ${DEFAULT-VALUE})")
    private int depth;

    @Option(names = "--beam", paramLabel = "N", defaultValue = "10",
            description = "how many paths are kept at each step (default: ${DEFAULT-VALUE})")
    private int beam;

    @Option(names = "--rank", paramLabel = "RANK", defaultValue = "signed", converter = RankConverter.class,
            description = "signed, absolute or lowest effects first (default: ${DEFAULT-VALUE})")
    private Rank rank;

    @Option(names = "--tail", paramLabel = "PATH", defaultValue = "output",
            converter = VectorCommand.PathConverter.class,
            description = "components nearest the output that every path begins with")
    private Path tail;

    @Option(names = "--read", paramLabel = "N", split = ",",
            description = "the tokens that heads may read, from 0, or from the end with -1 (default: all)")
    private List<Integer> tokens = List.of();

    @Mixin
    private PatchOptions options;

    /** Reads {@code signed}, {@code absolute} and {@code lowest}. */
    static final class RankConverter extends Choice<Rank> {
        RankConverter() {
            super(Rank.values());
        }
    }

    @Override
    public Report call() {
        Count.atLeastOne("--depth", depth);
        Count.atLeastOne("--beam", beam);
        SearchOptions search = new SearchOptions(options.mode(), rank, beam, depth, tail, tokens);
        try (PairSession session = PairSession.open(common, observables, prompts, options)) {
            List<FoundPath> found = PathSearch.run(session.pair(), session.readout(), search);
            session.session().requireFinite("an effect", found.stream().mapToDouble(FoundPath::effect).toArray());
            Optional<OracleAgreement> oracle = options.check(sample -> OracleAgreement.of(
                    session.pair(), session.readout(), options.mode(), Reach.NAMED, found, sample));
            oracle.ifPresent(agreement -> PairSession.tell(common, agreement));
            return new PathsReport(session.metadata(), session.observable(), session.values(), found,
                    Choice.label(rank), session.cosines(found), oracle);
        }
    }
}

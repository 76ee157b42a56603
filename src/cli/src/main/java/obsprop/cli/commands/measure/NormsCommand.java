package obsprop.cli.commands.measure;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import obsprop.analysis.norms.NormErrors;
import obsprop.analysis.norms.NormInput;
import obsprop.analysis.norms.NormStatistics;
import obsprop.cli.UsageException;
import obsprop.cli.options.CommonOptions;
import obsprop.cli.options.Count;
import obsprop.cli.options.ObservableOptions;
import obsprop.cli.options.TextOptions;
import obsprop.cli.output.Report;
import obsprop.cli.session.Session;
import obsprop.cli.texts.Document;
import obsprop.cli.texts.LabelField;
import obsprop.cli.texts.Texts;
import obsprop.cli.tokens.ResolvedObservable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Norm statistics and the errors of the norm approximations. */
@Command(name = "norms", mixinStandardHelpOptions = true, sortOptions = false,
        description = "How long the residual stream is where each norm reads it, and how norm gains spread; with observables, what"
                + " each approximation of the final norm costs within and across groups of prompts.")
public final class NormsCommand implements Callable<Report> {
    @Mixin
    private CommonOptions common;

    @Mixin
    private ObservableOptions observables;

    @Mixin
    private TextOptions texts;

    @Option(names = "--group-field", paramLabel = "NAME",
            description = "the field of a JSON line that names the prompt's group (default: each file is a group)")
    private Optional<String> groupField;

    @Option(names = "--limit", paramLabel = "N", defaultValue = "100",
            description = "prompts taken of each group; each document is one prompt, cut to a window (default: ${DEFAULT-VALUE})")
    private int limit;

    @Override
    public Report call() {
        Count.atLeastOne("--limit", limit);
        texts.files();
        try (Session session = common.open()) {
            List<ResolvedObservable> resolved =
                    observables.given() ? observables.resolve(session.vocabulary()) : List.of();
            List<NormErrors.Group> groups = groups(session);
            List<NormInput> inputs = NormStatistics.of(
                    session.model(), groups.stream().flatMap(g -> g.prompts().stream()).toList());
            inputs.forEach(input -> session.requireFinite("the residual stream", input.meanLength(), input.gain().mean()));
            List<NormsReport.Errors> errors = new ArrayList<>();
            if (!resolved.isEmpty()) {
                NormErrors of = new NormErrors(session.model());
                resolved.forEach(o -> errors.add(new NormsReport.Errors(o, of.of(groups, o.forEngine()))));
            }
            return new NormsReport(session.name(), groups.stream().map(NormErrors.Group::name).toList(), inputs, errors,
                    NormErrors.angleBound(session.config().dModel()));
        }
    }

    private List<NormErrors.Group> groups(Session session) {
        Map<String, List<int[]>> groups = new LinkedHashMap<>();
        for (Path file : texts.files()) {
            try (Texts documents = texts.open(List.of(file), groupField.map(name -> new LabelField(name, "--group-field")), common)) {
                while (documents.hasNext()) {
                    Document document = documents.next();
                    int[] prompt = texts.firstWindow(document, session, common).ids();
                    List<int[]> group = groups.computeIfAbsent(
                            document.label().orElse(file.toString()), name -> new ArrayList<>());
                    if (prompt.length > 0 && group.size() < limit) {
                        group.add(prompt);
                    }
                }
            }
        }
        groups.values().removeIf(List::isEmpty);
        if (groups.isEmpty()) {
            throw new UsageException("the texts hold no prompt: give .txt or .jsonl files with --text");
        }
        return groups.entrySet().stream().map(e -> new NormErrors.Group(e.getKey(), e.getValue())).toList();
    }
}

package obsprop.cli.commands;

import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.Callable;
import obsprop.analysis.attribution.Attribution;
import obsprop.analysis.attribution.DirectAttribution;
import obsprop.analysis.runs.CachedRun;
import obsprop.analysis.runs.PromptPair;
import obsprop.cli.options.CommonOptions;
import obsprop.cli.options.ObservableOptions;
import obsprop.cli.options.PromptOptions;
import obsprop.cli.output.Report;
import obsprop.cli.session.MemoryPlan;
import obsprop.cli.session.Session;
import obsprop.cli.tokens.Prompt;
import obsprop.cli.tokens.ResolvedObservable;
import obsprop.model.ActivationCache;
import obsprop.model.Batch;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** Direct attribution of an observable on one prompt. */
@Command(name = "attribute", mixinStandardHelpOptions = true, sortOptions = false,
        description = "How much each head reading each token, each MLP and the embedding contribute directly to an"
                + " observable; the parts add up to its value.")
public final class AttributeCommand implements Callable<Report> {
    @Mixin
    private CommonOptions common;

    @Mixin
    private ObservableOptions observables;

    @Mixin
    private PromptOptions prompts;

    @Option(names = "--position", paramLabel = "N", defaultValue = "-1",
            description = "the token whose logits the observable reads, from 0, or from the end with -1"
                    + " (default: ${DEFAULT-VALUE})")
    private int position;

    @Option(names = "--out", paramLabel = "FILE", description = "a safetensors file for the parts")
    private Optional<Path> out;

    @Override
    public Report call() {
        out.ifPresent(file -> common.requireOutput(file, "--out"));
        try (Session session = common.open()) {
            ResolvedObservable observable = PairSession.one(observables.resolve(session.vocabulary()));
            Prompt prompt = prompts.resolve(session.vocabulary(), session.config().maxPositions(), common);
            int token = prompt.position(position, "--position");
            PromptPair.requireDirectEffects(session.model(), "attribution");
            try (ActivationCache cache = session.model().forward(Batch.of(prompt.array()),
                    MemoryPlan.of(session.model()).keep(prompt.length()), session.config().nLayers())) {
                Attribution parts = DirectAttribution.ofObservable(
                        new CachedRun(cache, 0), observable.forEngine(), token);
                session.requireFinite("a part of the attribution", parts.sum(), parts.total());
                AttributeReport report = new AttributeReport(
                        session.name(), observable, prompt.texts(session.vocabulary()), token, parts);
                out.ifPresent(report::write);
                return report;
            }
        }
    }
}

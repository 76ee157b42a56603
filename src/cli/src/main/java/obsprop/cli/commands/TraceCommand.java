package obsprop.cli.commands;

import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import obsprop.cli.options.Choice;
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
import obsprop.model.layer.Rules;
import obsprop.propagation.Observable;
import obsprop.tensor.Tensor;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** One prompt forward, and observables back through it. */
@Command(name = "trace", mixinStandardHelpOptions = true, sortOptions = false,
        description = "Runs one prompt forward and pulls observables back through it; writes logits, residual stream,"
                + " patterns, gradients and OV features.")
public final class TraceCommand implements Callable<Report> {
    @Mixin
    private CommonOptions common;

    @Mixin
    private ObservableOptions observables;

    @Mixin
    private PromptOptions prompts;

    @Option(names = "--position", paramLabel = "N", defaultValue = "-1",
            description = "the token whose logits the observables read, from 0, or from the end with -1"
                    + " (default: ${DEFAULT-VALUE})")
    private int position;

    @Option(names = "--rule", paramLabel = "RULE", defaultValue = "exact", converter = RuleWord.class,
            description = "exact, frozen-attention, frozen-norm or frozen-both (default: ${DEFAULT-VALUE})")
    private Rule rule;

    @Option(names = "--out", paramLabel = "FILE", description = "a safetensors file for the tensors")
    private Optional<Path> out;

    /** What is held constant on the way back. */
    enum Rule {
        EXACT(Rules.EXACT),
        FROZEN_ATTENTION(Rules.FROZEN_ATTENTION),
        FROZEN_NORM(Rules.FROZEN_NORM),
        FROZEN_BOTH(Rules.FROZEN_BOTH);

        private final Rules rules;

        Rule(Rules rules) {
            this.rules = rules;
        }
    }

    private static final class RuleWord extends Choice<Rule> {
        RuleWord() {
            super(Rule.values());
        }
    }

    @Override
    public Report call() {
        out.ifPresent(file -> common.requireOutput(file, "--out"));
        try (Session session = common.open()) {
            List<ResolvedObservable> resolved = observables.resolve(session.vocabulary());
            Prompt prompt = prompts.resolve(session.vocabulary(), session.config().maxPositions(), common);
            int row = prompt.position(position, "--position");
            try (ActivationCache cache = session.model().forward(Batch.of(prompt.array()),
                    MemoryPlan.of(session.model()).keep(prompt.length()), session.config().nLayers())) {
                List<Observable> engine = resolved.stream().map(ResolvedObservable::forEngine).toList();
                TraceTensors tensors = new TraceTensors(session, cache, engine, row, rule.rules);
                double[] values = values(cache, engine, row);
                session.requireFinite("an observable's value", values);
                TraceReport report = new TraceReport(session.name(), Choice.label(rule), prompt.ids(),
                        prompt.texts(session.vocabulary()), row, resolved, values, out, tensors.shapes());
                out.ifPresent(file -> tensors.write(file, report.metadata()));
                return report;
            }
        }
    }

    private static double[] values(ActivationCache cache, List<Observable> observables, int row) {
        try (Arena arena = Arena.ofShared()) {
            Tensor logits = TraceTensors.host(cache, cache.model().logits(cache, new int[] {row}, arena), arena);
            return observables.stream().mapToDouble(observable -> observable.value(logits.select(0, 0))).toArray();
        }
    }
}

package obsprop.cli.commands;

import java.lang.foreign.Arena;
import java.util.Optional;
import java.util.concurrent.Callable;
import obsprop.cli.UsageException;
import obsprop.cli.options.CommonOptions;
import obsprop.cli.output.Report;
import obsprop.cli.session.MemoryPlan;
import obsprop.cli.session.PrecisionErrors;
import obsprop.cli.session.Session;
import obsprop.cli.tokens.IdVocabulary;
import obsprop.model.io.Checkpoint;
import obsprop.propagation.Propagator;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** The model, what it takes, and what computes it. */
@Command(name = "info", mixinStandardHelpOptions = true, sortOptions = false,
        description = "The model, its memory plan, the backend chosen and why.")
public final class InfoCommand implements Callable<Report> {
    @Mixin
    private CommonOptions common;

    @Option(names = "--tokens", paramLabel = "T", description = "plan a run over prompts of T tokens (default: the context)")
    private Optional<Integer> tokens;

    @Option(names = "--prompts", paramLabel = "B", defaultValue = "1",
            description = "plan a run over B prompts at once (default: ${DEFAULT-VALUE})")
    private int prompts;

    @Option(names = "--observables", paramLabel = "K", defaultValue = "1",
            description = "plan a run that pulls back K observables (default: ${DEFAULT-VALUE})")
    private int observables;

    private PlannedRun plan(Session session, MemoryPlan memory) {
        int length = tokens.orElse(session.config().maxPositions());
        if (length < 1 || prompts < 1 || observables < 1) {
            throw new UsageException("--tokens, --prompts and --observables: give 1 or more each");
        }
        if (length > session.config().maxPositions()) {
            common.note("--tokens: " + length + " are more than the model's context of " + session.config().maxPositions()
                    + " holds: such a prompt would be refused");
        }
        int rows = Math.toIntExact(Math.min(Integer.MAX_VALUE, (long) length * prompts));
        int atOnce = new Propagator(session.model()).atOnce(rows, observables);
        try {
            return new PlannedRun(length, prompts, observables, atOnce, memory.run(prompts, length, atOnce));
        } catch (ArithmeticException e) {
            throw new UsageException("--tokens, --prompts and --observables: no machine has the memory for such a run: give less", e);
        }
    }

    @Override
    public Report call() {
        try (Session session = common.open(); Arena arena = Arena.ofShared()) {
            String tokenizer = session.vocabulary() instanceof IdVocabulary ids ? "none: " + ids.reason() : "tokenizer.json";
            MemoryPlan memory = MemoryPlan.of(session.model());
            return new InfoReport(session.name(), session.config(), tokenizer,
                    Checkpoint.open(session.directory(), arena).bytes(), memory, plan(session, memory),
                    session.model().hasDirectEffects(), session.backend().kernels().describe(), session.backend().reason(),
                    session.backend().freeDeviceMemory(), PrecisionErrors.measure(session));
        }
    }
}

package obsprop.cli.commands;

import java.lang.foreign.Arena;
import java.util.concurrent.Callable;
import obsprop.cli.options.CommonOptions;
import obsprop.cli.output.Report;
import obsprop.cli.session.MemoryPlan;
import obsprop.cli.session.PrecisionErrors;
import obsprop.cli.session.Session;
import obsprop.cli.tokens.IdVocabulary;
import obsprop.model.io.Checkpoint;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;

/** The model, what it takes, and what computes it. */
@Command(name = "info", mixinStandardHelpOptions = true, sortOptions = false,
        description = "The model, its memory plan, the backend chosen and why.")
public final class InfoCommand implements Callable<Report> {
    @Mixin
    private CommonOptions common;

    @Override
    public Report call() {
        try (Session session = common.open(); Arena arena = Arena.ofShared()) {
            String tokenizer = session.vocabulary() instanceof IdVocabulary ids ? "none: " + ids.reason() : "tokenizer.json";
            return new InfoReport(session.name(), session.config(), tokenizer,
                    Checkpoint.open(session.directory(), arena).bytes(), MemoryPlan.of(session.model()),
                    session.model().hasDirectEffects(), session.backend().kernels().describe(), session.backend().reason(),
                    PrecisionErrors.measure(session));
        }
    }
}

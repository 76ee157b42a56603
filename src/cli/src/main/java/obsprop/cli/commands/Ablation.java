package obsprop.cli.commands;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.IntStream;
import obsprop.analysis.runs.CachedRun;
import obsprop.analysis.runs.SubstituteRun;
import obsprop.cli.UsageException;
import obsprop.cli.options.CommonOptions;
import obsprop.cli.options.PromptPairOptions;
import obsprop.cli.session.Session;
import obsprop.cli.tokens.Prompt;
import obsprop.model.ActivationCache;
import obsprop.model.Batch;
import obsprop.model.Keep;

/** What stands in for a corrupted prompt: every component reads it instead of the residual stream. */
enum Ablation {
    /** A stream of zeros. */
    ZERO,
    /** The mean, position by position, over the prompts of a file, one a line. */
    MEAN;

    /** The run to patch from, for clean prompts of {@code length} tokens. */
    SubstituteRun run(Session session, int length, List<Path> over, PromptPairOptions prompts, CommonOptions common) {
        if (this == ZERO) {
            return SubstituteRun.zero(session.model(), length);
        }
        if (over.size() != 1) {
            throw new UsageException("--ablate mean needs the prompts to average: name their file with --over");
        }
        List<int[]> tokens = lines(over.getFirst()).stream().filter(line -> !line.isBlank()).map(line -> {
            Prompt prompt = prompts.clean().text(line, "--over", session.vocabulary(), session.config().maxPositions(), common);
            if (prompt.length() != length) {
                throw new UsageException("--over: the prompt \"" + line + "\" has " + prompt.length()
                        + " tokens and the clean one " + length + ": the mean needs prompts of equal length");
            }
            return prompt.array();
        }).toList();
        if (tokens.isEmpty()) {
            throw new UsageException("--over: " + over.getFirst() + " holds no prompt: write one a line");
        }
        try (ActivationCache cache = session.model().forward(
                Batch.of(tokens), Keep.RESIDUALS, session.config().nLayers())) {
            return SubstituteRun.mean(
                    IntStream.range(0, tokens.size()).mapToObj(b -> new CachedRun(cache, b)).toList());
        }
    }

    private static List<String> lines(Path file) {
        try {
            return Files.readAllLines(file);
        } catch (IOException e) {
            throw new UsageException("--over: " + file + " cannot be read: name a text file with a prompt a line", e);
        }
    }
}

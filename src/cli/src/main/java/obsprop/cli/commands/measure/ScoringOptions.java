package obsprop.cli.commands.measure;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import obsprop.analysis.scores.PairScores;
import obsprop.analysis.scores.ScoreOptions;
import obsprop.analysis.scores.ScoreRun;
import obsprop.analysis.scores.ScoreState;
import obsprop.analysis.scores.VectorScores;
import obsprop.cli.UsageException;
import obsprop.cli.options.CommonOptions;
import obsprop.cli.options.Count;
import obsprop.cli.options.NamedVector;
import obsprop.cli.options.TextOptions;
import obsprop.cli.output.Progress;
import obsprop.cli.session.Session;
import obsprop.cli.texts.Texts;
import picocli.CommandLine.Option;

/** How texts are scored. */
final class ScoringOptions {
    @Option(names = "--checkpoint", paramLabel = "FILE",
            description = "save the state here from time to time, and go on from it where it exists: a killed run ends with the"
                    + " same result. The file stays when the run is done")
    private Optional<Path> checkpoint;

    @Option(names = "--save-every", paramLabel = "SECONDS", defaultValue = "20",
            description = "how often the checkpoint is written (default: ${DEFAULT-VALUE})")
    private int saveEvery;

    @Option(names = "--batch-tokens", paramLabel = "N", defaultValue = "1024",
            description = "windows run together up to N tokens (default: ${DEFAULT-VALUE})")
    private int batchTokens;

    @Option(names = "--seed", paramLabel = "N", defaultValue = "0", description = "of the bootstrap (default: ${DEFAULT-VALUE})")
    private long seed;

    /** Scores the texts, with regressions of the pairs. */
    ScoreState run(Session session, TextOptions texts, List<NamedVector> vectors, List<PairScores.Pair> pairs, Sizes sizes,
            CommonOptions common) {
        checkpoint.ifPresent(file -> common.requireOutput(file, "--checkpoint"));
        if (saveEvery < 0) {
            throw new UsageException("--save-every: " + saveEvery + " is negative: give seconds, or 0 for every batch");
        }
        Count.atLeastOne("--batch-tokens", batchTokens);
        ScoreRun run = new ScoreRun(session.model(), vectors.stream().map(NamedVector::scored).toList(), pairs,
                new ScoreOptions(sizes.k, sizes.context, batchTokens, sizes.replicates, seed));
        try (Texts documents = texts.open(texts.files(), Optional.empty(), common);
                Progress progress = common.progress("scores", texts.bytes())) {
            long[] shown = {0};
            ScoreRun.Progress onProgress = (windows, tokens) -> {
                progress.step(documents.bytes() - shown[0]);
                shown[0] = documents.bytes();
            };
            var windows = texts.windows(documents, session, common);
            ScoreState state = checkpoint
                    .map(file -> run.run(windows, new ScoreRun.Saving(file, identity(session, texts), Duration.ofSeconds(saveEvery)), onProgress))
                    .orElseGet(() -> run.run(windows, onProgress));
            if (state.tokens() == 0) {
                throw new UsageException("the texts hold no token: " + texts.files().stream().map(Path::toString)
                        .collect(Collectors.joining(", ")));
            }
            requireScores(session, vectors, state, common);
            return state;
        }
    }

    /** Scores that are not finite are left out; where none is left there is no result. */
    private static void requireScores(Session session, List<NamedVector> vectors, ScoreState state, CommonOptions common) {
        for (int v = 0; v < vectors.size(); v++) {
            VectorScores scores = state.vectors().get(v);
            if (scores.count() == 0) {
                throw session.notFinite("every score of " + vectors.get(v).name());
            }
            if (scores.notFinite() > 0) {
                common.note(scores.notFinite() + " of " + state.tokens() + " scores of " + vectors.get(v).name()
                        + " are not finite and were left out");
            }
        }
    }

    /** Files of a model are told apart by their dates, not by reading gigabytes of them. */
    private static String identity(Session session, TextOptions texts) {
        try (Stream<Path> files = Files.list(session.directory())) {
            Stream<String> model = files.filter(file -> file.toString().endsWith(".safetensors") || file.toString().endsWith(".json"))
                    .sorted().map(ScoringOptions::described);
            return Stream.concat(model, Stream.of(session.backend().arithmetic(), texts.identity(session)))
                    .collect(Collectors.joining("\n"));
        } catch (IOException e) {
            throw new UncheckedIOException(session.directory() + ": cannot be listed: " + e.getMessage(), e);
        }
    }

    private static String described(Path file) {
        try {
            return file.getFileName() + " " + Files.size(file) + " " + Files.getLastModifiedTime(file);
        } catch (IOException e) {
            throw new UncheckedIOException(file + ": cannot be looked at: " + e.getMessage(), e);
        }
    }

    /** How many extremes and bootstrap replicates to keep, and how much context. */
    record Sizes(int k, int context, int replicates) {
    }
}

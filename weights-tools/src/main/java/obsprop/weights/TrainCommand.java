package obsprop.weights;

import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.concurrent.Callable;
import obsprop.backend.Backend;
import obsprop.backend.Device;
import obsprop.tensor.io.FormatException;
import obsprop.weights.checkpoint.ConfigJson;
import obsprop.weights.corpus.Corpus;
import obsprop.weights.train.TrainingOptions;
import obsprop.weights.train.TrainingRun;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** {@code weights train}. */
@Command(
        name = "train",
        mixinStandardHelpOptions = true,
        description = "Train a model on a corpus with planted facts. With --out alone: generates the corpus and trains the"
                + " demo model.")
final class TrainCommand implements Callable<Integer> {
    private static final int MOST_THREADS = 1024;

    @Option(names = "--out", required = true, description = "model directory to create")
    private Path out;

    @Option(names = "--corpus", description = "as 'weights corpus' writes it; default: generated beside --out")
    private Optional<Path> corpus;

    @Option(names = "--config", description = "config.json of the model (gpt2, gpt_neo, llama and the like); default:"
            + " the demo model's")
    private Optional<Path> config;

    @Option(names = "--dtype", defaultValue = "BF16", description = "of the finished weights (${DEFAULT-VALUE})")
    private WeightType dtype;

    @Option(names = "--documents", defaultValue = "200000", description = "of a generated corpus (${DEFAULT-VALUE})")
    private int documents;

    @Option(names = "--steps", defaultValue = "1400", description = "(${DEFAULT-VALUE})")
    private int steps;

    @Option(names = "--batch-tokens", defaultValue = "1536", description = "(${DEFAULT-VALUE})")
    private int batchTokens;

    @Option(names = "--learning-rate", defaultValue = "2.5e-3", description = "its peak (${DEFAULT-VALUE})")
    private double learningRate;

    @Option(names = "--warm-up", defaultValue = "100", description = "steps until the peak (${DEFAULT-VALUE})")
    private int warmUp;

    @Option(names = "--weight-decay", defaultValue = "0.01", description = "(${DEFAULT-VALUE})")
    private double weightDecay;

    @Option(names = "--clip", defaultValue = "1", description = "largest gradient norm (${DEFAULT-VALUE})")
    private double clip;

    @Option(names = "--seed", defaultValue = "1", description = "same seed, same weights (${DEFAULT-VALUE})")
    private long seed;

    @Option(names = "--checkpoint-every", defaultValue = "200", description = "steps (${DEFAULT-VALUE})")
    private int checkpointEvery;

    @Option(names = "--resume", description = "go on with an interrupted run")
    private boolean resume;

    @Option(names = "--threads", description = "default: all cores")
    private Optional<Integer> threads;

    @Option(names = "--quiet", description = "no progress on stderr")
    private boolean quiet;

    @Spec
    private CommandSpec spec;

    @Override
    public Integer call() {
        TrainingOptions options;
        try {
            options = new TrainingOptions(steps, batchTokens, learningRate, warmUp, weightDecay, clip, seed);
        } catch (IllegalArgumentException e) {
            throw new FormatException(e.getMessage(), e);
        }
        atLeastOne("--checkpoint-every", checkpointEvery);
        atLeastOne("--documents", documents);
        threads.ifPresent(TrainCommand::requireThreads);
        PrintWriter err = spec.commandLine().getErr();
        Path texts = corpus.orElseGet(this::generated);
        ConfigJson json = config.map(ConfigJson::read).orElseGet(TrainingRun::demoConfig);
        Backend.Choice all = Backend.Choice.of(Device.CPU);
        Backend.Choice choice = all.withThreads(threads.orElse(all.threads()));
        try (Backend backend = Backend.select(choice)) {
            new TrainingRun(out, texts, json, options, backend.kernels(), line -> {
                if (!quiet) {
                    err.println(line);
                    err.flush();
                }
            }).run(resume ? TrainingRun.Start.RESUME : TrainingRun.Start.FRESH, checkpointEvery, dtype.dtype());
        }
        return 0;
    }

    private static void requireThreads(int count) {
        atLeastOne("--threads", count);
        if (count > MOST_THREADS) {
            throw new FormatException("--threads: " + count + " is too many: give " + MOST_THREADS + " or fewer");
        }
    }

    static void atLeastOne(String option, int value) {
        if (value < 1) {
            throw new FormatException(option + ": " + value + " is too few: give 1 or more");
        }
    }

    /** The corpus beside the model; one that is there already is used again, since a seed determines it. */
    private Path generated() {
        Path beside = out.toAbsolutePath().resolveSibling(out.getFileName() + ".corpus-" + seed + "-" + documents);
        if (!Files.isDirectory(beside)) {
            try (OutputDirectory directory = OutputDirectory.create(beside)) {
                Corpus.write(directory, documents, seed);
                directory.commit();
            }
        }
        return beside;
    }
}

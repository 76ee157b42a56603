package obsprop.weights.train;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Consumer;
import obsprop.kernel.Kernels;
import obsprop.model.Transformer;
import obsprop.model.family.ModelLoader;
import obsprop.model.io.Config;
import obsprop.tensor.DType;
import obsprop.tensor.io.FormatException;
import obsprop.weights.JsonText;
import obsprop.weights.OutputDirectory;
import obsprop.weights.checkpoint.ConfigJson;
import obsprop.weights.checkpoint.Conversion;
import obsprop.weights.checkpoint.FamilyLayout;
import obsprop.weights.checkpoint.RandomCheckpoint;
import obsprop.weights.corpus.Corpus;
import obsprop.weights.corpus.TokenizerFile;
import obsprop.weights.corpus.WordTokenizer;

/**
 * From a corpus to a finished model directory. Until it is finished everything lies in {@code OUT.training} (checkpoints
 * {@code step-N}, of which the last is kept), from where an interrupted run can be resumed; what comes out is the same.
 */
public final class TrainingRun {
    private static final long ONE_FILE = Long.MAX_VALUE;
    private static final String LOG = "training-log.jsonl";
    /** In the working directory: what a run that goes on has to share with the one that began. */
    private static final String BEGUN_WITH = "begun-with.json";
    private static final int LOG_EVERY = 10;

    private final Path out;
    private final Path work;
    private final Path corpus;
    private final ConfigJson config;
    private final TrainingOptions options;
    private final Kernels kernels;
    private final Consumer<String> progress;
    private final List<String> log = new ArrayList<>();

    /**
     * @param out directory to create
     * @param corpus as {@code weights corpus} writes it
     * @param config of the model; its vocabulary size is taken from the tokenizer
     * @param progress is told in words how far the training is
     */
    public TrainingRun(
            Path out, Path corpus, ConfigJson config, TrainingOptions options, Kernels kernels,
            Consumer<String> progress) {
        this.out = out;
        this.work = out.toAbsolutePath().resolveSibling(out.getFileName() + ".training");
        this.corpus = corpus;
        this.config = config;
        this.options = options;
        this.kernels = kernels;
        this.progress = progress;
    }

    /** The demo model's, from the program itself. */
    public static ConfigJson demoConfig() {
        try (InputStream in = TrainingRun.class.getResourceAsStream("demo-config.json")) {
            return ConfigJson.parse(in.readAllBytes(), "demo-config.json");
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** Whether to go on from an earlier run. */
    public enum Start {
        FRESH,
        RESUME
    }

    /**
     * Trains, evaluates and writes the model.
     *
     * @param every steps between checkpoints
     * @param dtype type of the finished weights
     */
    public void run(Start start, int every, DType dtype) {
        WordTokenizer tokenizer = TokenizerFile.read(corpus.resolve(Corpus.TOKENIZER));
        config.set("vocab_size", String.valueOf(tokenizer.size()))
                .set("bos_token_id", String.valueOf(tokenizer.separator()))
                .set("eos_token_id", String.valueOf(tokenizer.separator()));
        OutputDirectory.create(out).close();
        String asked = JsonText.pretty(JsonText.object("options", described(options), "config", config.text()));
        int done = start == Start.FRESH ? begin(asked, tokenizer) : lastCheckpoint(asked);
        try (Trainer trainer = done == 0
                ? Trainer.open(checkpoint(0), options, kernels)
                : Trainer.resume(checkpoint(done), options, kernels)) {
            steps(trainer, tokenizer, done, every);
            finish(trainer, tokenizer, dtype);
        }
        delete(work);
    }

    private Path checkpoint(int step) {
        return work.resolve("step-" + step);
    }

    private static Map<String, Object> described(TrainingOptions o) {
        return JsonText.object("steps", o.steps(), "batch_tokens", o.batchTokens(), "learning_rate", o.learningRate(),
                "warm_up", o.warmUp(), "weight_decay", o.weightDecay(), "clip", o.clip(), "seed", o.seed());
    }

    /** Makes the initial weights; a run that cannot begin leaves nothing. */
    private int begin(String asked, WordTokenizer tokenizer) {
        if (Files.exists(work)) {
            throw FormatException.in(work, "is left from an interrupted run: add --resume, or remove it");
        }
        try {
            Files.createDirectory(work);
        } catch (IOException e) {
            throw new UncheckedIOException(work + ": cannot be created: " + e.getMessage(), e);
        }
        try (OutputDirectory initial = OutputDirectory.create(checkpoint(0))) {
            Files.writeString(work.resolve(BEGUN_WITH), asked);
            initial.write("config.json", config.setType(DType.F32).text());
            Config read = Config.read(initial.file("config.json"));
            documents(read, tokenizer);
            RandomCheckpoint.write(
                    initial, FamilyLayout.of(read), DType.F32, ONE_FILE, options.seed(), RandomCheckpoint.Spread.TRAINING);
            initial.commit();
            return 0;
        } catch (IOException e) {
            delete(work);
            throw new UncheckedIOException(work + ": cannot be written to: " + e.getMessage(), e);
        } catch (RuntimeException e) {
            delete(work);
            throw e;
        }
    }

    private int lastCheckpoint(String asked) {
        if (!Files.isDirectory(work)) {
            throw FormatException.in(work, "holds no checkpoint to resume from: start without --resume");
        }
        try (var dirs = Files.list(work)) {
            int last = dirs.map(d -> d.getFileName().toString())
                    .filter(n -> n.matches("step-\\d+"))
                    .map(n -> Integer.valueOf(n.substring(5)))
                    .max(Comparator.naturalOrder())
                    .orElseThrow(() -> FormatException.in(work, "holds no checkpoint to resume from: remove it, and start anew"));
            if (!asked.equals(Files.readString(work.resolve(BEGUN_WITH)))) {
                throw FormatException.in(work.resolve(BEGUN_WITH),
                        "the run began with other options or another config: resume it with the same, or remove " + work);
            }
            if (last > 0) {
                log.addAll(Files.readAllLines(checkpoint(last).resolve(LOG)));
            }
            return last;
        } catch (IOException e) {
            throw FormatException.unreadable(work, e);
        }
    }

    private void steps(Trainer trainer, WordTokenizer tokenizer, int done, int every) {
        Config read = Config.read(checkpoint(done));
        Batches batches = new Batches(
                documents(read, tokenizer), tokenizer.separator(), context(read), options.batchTokens(), options.seed());
        for (int step = 1; step <= done; step++) {
            batches.next();
        }
        Pace pace = new Pace(options.steps());
        for (int number = done + 1; number <= options.steps(); number++) {
            Trainer.Step step = trainer.step(number, batches.next());
            pace.add(step);
            if (number % LOG_EVERY == 0 || number == options.steps()) {
                log.add(JsonText.line(pace.fields()));
                progress.accept(pace.line());
                pace.restart();
            }
            if (number % every == 0 && number < options.steps()) {
                save(trainer, number, number - every);
            }
        }
    }

    private static int context(Config read) {
        return read.intOr("max_position_embeddings", read.intOr("n_positions", Integer.MAX_VALUE));
    }

    /** Those that the model's context has room for, between two separators. */
    private List<int[]> documents(Config read, WordTokenizer tokenizer) {
        int context = context(read);
        List<int[]> documents = Corpus.read(corpus.resolve(Corpus.TRAIN)).stream()
                .map(line -> tokenizer.encode(line.text()))
                .filter(ids -> ids.length + 2 <= context)
                .toList();
        if (documents.isEmpty()) {
            throw FormatException.in(corpus, "holds no document that fits the model's context of " + context
                    + " tokens: give the model a longer one");
        }
        return documents;
    }

    private void save(Trainer trainer, int step, int former) {
        try (OutputDirectory dir = OutputDirectory.create(checkpoint(step))) {
            new Conversion(Optional.empty(), ONE_FILE, Conversion.Prefix.KEEP)
                    .write(dir, trainer.weights(), config, "");
            trainer.saveOptimizer(dir.file(""));
            dir.write(LOG, String.join("\n", log) + "\n");
            dir.commit();
        }
        delete(checkpoint(former));
    }

    private void finish(Trainer trainer, WordTokenizer tokenizer, DType dtype) {
        try (OutputDirectory dir = OutputDirectory.create(out)) {
            new Conversion(Optional.of(dtype), ONE_FILE, Conversion.Prefix.KEEP)
                    .write(dir, trainer.weights(), config, "");
            copy(Corpus.TOKENIZER, dir);
            copy("tokenizer_config.json", dir);
            copy(Corpus.STATISTICS, dir);
            dir.write(LOG, String.join("\n", log) + "\n");
            try (Transformer rounded = ModelLoader.open(dir.file(""), kernels)) {
                Map<String, Object> evaluation = JsonText.object(
                        "options", described(options),
                        "heldout", evaluate(rounded, tokenizer, Corpus.HELD_OUT),
                        "unseen_pairs", evaluate(rounded, tokenizer, Corpus.UNSEEN_PAIRS));
                dir.write("evaluation.json", JsonText.pretty(evaluation));
                progress.accept(JsonText.pretty(evaluation));
            }
            dir.commit();
        }
    }

    private Map<String, Object> evaluate(Transformer model, WordTokenizer tokenizer, String part) {
        return Evaluation.of(model, tokenizer, Corpus.read(corpus.resolve(part)));
    }

    private void copy(String name, OutputDirectory dir) {
        try {
            Files.copy(corpus.resolve(name), dir.file(name));
        } catch (IOException e) {
            throw new UncheckedIOException(name + ": cannot be copied: " + e.getMessage(), e);
        }
    }

    private static void delete(Path dir) {
        if (!Files.isDirectory(dir)) {
            return;
        }
        try (var tree = Files.walk(dir)) {
            for (Path path : tree.sorted(Comparator.reverseOrder()).toList()) {
                Files.delete(path);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(dir + ": cannot be removed: " + e.getMessage(), e);
        }
    }
}

package obsprop.analysis.scores;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.Iterator;
import java.util.List;
import java.util.Optional;
import obsprop.model.Transformer;
import obsprop.tensor.io.FormatException;

/**
 * Scores a corpus: all vectors in one pass over windows that are read one batch at a time, so that memory does not grow
 * with the corpus. With a checkpoint, a run that was killed goes on where it was last saved and ends with the same result
 * to the bit.
 */
public final class ScoreRun {
    private final Transformer model;
    private final List<ScoredVector> vectors;
    private final List<PairScores.Pair> pairs;
    private final ScoreOptions options;

    /**
     * @param pairs of vectors whose scores are regressed on each other
     * @throws IllegalArgumentException if a vector does not fit the model
     */
    public ScoreRun(Transformer model, List<ScoredVector> vectors, List<PairScores.Pair> pairs, ScoreOptions options) {
        this.model = model;
        this.vectors = List.copyOf(vectors);
        this.pairs = List.copyOf(pairs);
        this.options = options;
        vectors.forEach(v -> v.requireWithin(model));
    }

    /** Hears how far the run is, after every batch. */
    @FunctionalInterface
    public interface Progress {
        void at(long windows, long tokens);
    }

    /**
     * Where and how often a run is saved.
     *
     * @param identity of the model, the device and the way the texts are cut: a run with another one does not go on from
     *     this file
     * @param every at most this often; zero means after every batch
     */
    public record Saving(Path file, String identity, Duration every) {}

    /** Scores all windows without saving. */
    public ScoreState run(Iterator<Window> windows, Progress progress) {
        return run(windows, new ScoreState(vectors.size(), pairs, options), Optional.empty(), progress);
    }

    /**
     * Scores all windows, going on from the checkpoint if there is one; the file stays when the run has ended.
     *
     * @param windows the same from the beginning as in the run that was killed
     * @throws FormatException if the checkpoint is damaged, or belongs to another run or to other texts
     */
    public ScoreState run(Iterator<Window> windows, Saving saving, Progress progress) {
        ScoreState state = new ScoreState(vectors.size(), pairs, options);
        ScoreCheckpoint checkpoint = new ScoreCheckpoint(saving.file, fingerprint(saving.identity));
        checkpoint.restore(state);
        skip(windows, state, saving.file);
        return run(windows, state, Optional.of(new Saver(checkpoint, saving.every)), progress);
    }

    private ScoreState run(Iterator<Window> windows, ScoreState state, Optional<Saver> saver, Progress progress) {
        try (ScorePass pass = new ScorePass(model, vectors)) {
            Batches batches = new Batches(windows);
            while (batches.hasNext()) {
                List<Window> batch = batches.next();
                state.add(batch, pass.score(batch));
                saver.ifPresent(s -> s.afterBatch(state));
                progress.at(state.windows(), state.tokens());
            }
        }
        saver.ifPresent(s -> s.checkpoint.save(state));
        return state;
    }

    /** Passes over the windows that are done already, and checks that they are the same ones. */
    private static void skip(Iterator<Window> windows, ScoreState state, Path file) {
        long digest = 0;
        long skipped = 0;
        for (; skipped < state.windows() && windows.hasNext(); skipped++) {
            digest = ScoreState.digest(digest, windows.next());
        }
        if (skipped < state.windows() || digest != state.digest()) {
            throw FormatException.in(file, "is the checkpoint of a run over other texts, or they have changed since:"
                    + " delete it to start anew, or name another file");
        }
    }

    /** Windows up to {@link ScoreOptions#batchTokens}; where batches end depends on the windows alone. */
    private final class Batches {
        private final Iterator<Window> windows;
        private Optional<Window> pending = Optional.empty();

        Batches(Iterator<Window> windows) {
            this.windows = windows;
        }

        boolean hasNext() {
            return pending.isPresent() || windows.hasNext();
        }

        List<Window> next() {
            List<Window> batch = new ArrayList<>();
            Window first = pending.orElseGet(windows::next);
            pending = Optional.empty();
            batch.add(first);
            long tokens = first.length();
            while (pending.isEmpty() && windows.hasNext()) {
                Window window = windows.next();
                tokens += window.length();
                if (tokens > options.batchTokens()) {
                    pending = Optional.of(window);
                } else {
                    batch.add(window);
                }
            }
            return batch;
        }
    }

    /** Saves from time to time. */
    private static final class Saver {
        private final ScoreCheckpoint checkpoint;
        private final Duration every;
        private long last = System.nanoTime();

        Saver(ScoreCheckpoint checkpoint, Duration every) {
            this.checkpoint = checkpoint;
            this.every = every;
        }

        void afterBatch(ScoreState state) {
            if (System.nanoTime() - last >= every.toNanos()) {
                checkpoint.save(state);
                last = System.nanoTime();
            }
        }
    }

    /** A digest of everything besides the texts that the result depends on. */
    private String fingerprint(String identity) {
        try {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            String words = String.join("\n", identity, model.config().toString(), options.toString(), pairs.toString(),
                    model.kernels().activationType().toString());
            digest.update(words.getBytes(StandardCharsets.UTF_8));
            for (ScoredVector v : vectors) {
                digest.update((v.name() + '\n' + v.layer() + v.point()).getBytes(StandardCharsets.UTF_8));
                ByteBuffer bytes = ByteBuffer.allocate(8 * v.vector().length);
                bytes.asDoubleBuffer().put(v.vector());
                digest.update(bytes);
            }
            return HexFormat.of().formatHex(digest.digest());
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java has SHA-256", e);
        }
    }
}

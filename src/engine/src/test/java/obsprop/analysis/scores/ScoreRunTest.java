package obsprop.analysis.scores;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.Iterator;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import obsprop.analysis.statistics.Vectors;
import obsprop.kernel.Kernels;
import obsprop.kernel.scalar.ScalarKernels;
import obsprop.model.ActivationCache;
import obsprop.model.Batch;
import obsprop.model.Keep;
import obsprop.model.Point;
import obsprop.model.Transformer;
import obsprop.model.family.ModelLoader;
import obsprop.tensor.DType;
import obsprop.tensor.io.FormatException;
import obsprop.testing.Golden;
import obsprop.testing.Measured;
import obsprop.testing.Tensors;
import obsprop.testing.Tolerance;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class ScoreRunTest {
    private static final ScoreOptions OPTIONS = new ScoreOptions(4, 3, 40, 20, 7);
    private static final List<PairScores.Pair> PAIRS = List.of(new PairScores.Pair(0, 1), new PairScores.Pair(1, 0));
    private static final String IDENTITY = "test";

    @TempDir
    private Path folder;

    static List<String> fixtures() {
        return Golden.names();
    }

    /** Every token's score at every site of every family, against the residual stream that a full pass keeps. */
    @ParameterizedTest
    @MethodSource("fixtures")
    void scoresAreInnerProductsWithTheResidualStream(String name) {
        Kernels kernels = ScalarKernels.float32();
        try (Transformer model = ModelLoader.open(Golden.ROOT.resolve(name), kernels)) {
            List<ScoredVector> vectors = everywhere(model, new Random(1));
            List<Window> windows = corpus(model, new Random(2), 4);
            Batch batch = Batch.of(windows.stream().map(Window::tokenIds).toList());
            int d = model.config().dModel();
            try (ScorePass pass = new ScorePass(model, vectors);
                    ActivationCache cache = model.forward(batch);
                    Measured measured = new Measured("scores, " + name)) {
                double[][] scores = pass.score(windows);
                for (int v = 0; v < vectors.size(); v++) {
                    ScoredVector vector = vectors.get(v);
                    double[] x = cache.residual(vector.layer(), vector.point()).toDoubles();
                    for (int row = 0; row < batch.rows(); row++) {
                        double[] here = Arrays.copyOfRange(x, row * d, (row + 1) * d);
                        double magnitude = Vectors.norm(here) * Vectors.norm(vector.vector());
                        measured.check(vector.name() + " row " + row, scores[row][v],
                                Vectors.dot(here, vector.vector()), Tolerance.of(DType.F32, d, magnitude));
                    }
                }
            }
        }
    }

    @Test
    void stopsAtTheDeepestSite() {
        try (Transformer model = open()) {
            int d = model.config().dModel();
            assertEquals(2, new ScoredVector("a", 2, Point.INPUT, new double[d]).depth());
            assertEquals(3, new ScoredVector("a", 2, Point.MIDDLE, new double[d]).depth());
            var low = new ScoredVector("low", 1, Point.INPUT, Tensors.random(new Random(1), 1, d));
            int[] deepest = {0};
            List<Window> windows = corpus(model, new Random(2), 2);
            try (ScorePass pass = new ScorePass(model, List.of(low))) {
                pass.score(windows);
            }
            Batch batch = Batch.of(windows.getFirst().tokenIds());
            try (var cache = model.allocate(batch.segments(), Keep.LAST, low.depth())) {
                model.forward(batch, cache, (layer, point, x) -> deepest[0] = Math.max(deepest[0], layer));
            }
            assertEquals(1, deepest[0]);
        }
    }

    /** A vector between attention and MLP needs no MLP of its own layer. */
    @Test
    void endsBetweenAttentionAndMlp() {
        try (Transformer model = open()) {
            var vector = new ScoredVector("a", 1, Point.MIDDLE, Tensors.random(new Random(1), 1, model.config().dModel()));
            List<Window> windows = corpus(model, new Random(2), 2);
            Batch batch = Batch.of(windows.stream().map(Window::tokenIds).toList());
            List<String> seen = new ArrayList<>();
            try (ScorePass pass = new ScorePass(model, List.of(vector));
                    ActivationCache half = model.allocateToMiddle(batch.segments(), 1);
                    ActivationCache whole = model.forward(batch)) {
                model.forward(batch, half, (layer, point, x) -> {
                    seen.add(layer + " " + point);
                    assertArrayEquals(whole.residual(layer, point).toFloats(), x.toFloats());
                });
                assertEquals(List.of("0 INPUT", "0 MIDDLE", "1 INPUT", "1 MIDDLE"), seen);
                assertArrayEquals(whole.residual(1).toFloats(), half.residual(1).toFloats());
                double[] x = whole.residual(1, Point.MIDDLE).select(0, 0).toDoubles();
                assertEquals(Vectors.dot(x, vector.vector()), pass.score(windows)[0][0], 1e-4);
            }
        }
    }

    @Test
    void summaryIsThatOfAllScores() {
        try (Transformer model = ModelLoader.open(Golden.ROOT.resolve("gpt_neo"), ScalarKernels.float64())) {
            List<ScoredVector> vectors = everywhere(model, new Random(3));
            List<Window> windows = corpus(model, new Random(4), 30);
            ScoreState state = new ScoreRun(model, vectors, PAIRS, OPTIONS).run(windows.iterator(), (w, t) -> {});
            for (int v = 0; v < vectors.size(); v++) {
                List<ScoredToken> all = scoredAlone(model, vectors.get(v), windows);
                VectorScores summary = state.vectors().get(v);
                assertEquals(all.size(), summary.count());
                assertEquals(all.size(), state.tokens());
                double mean = all.stream().mapToDouble(ScoredToken::score).average().orElseThrow();
                assertEquals(mean, summary.mean(), 1e-10);
                assertEquals(all.size(), summary.histogram().bins().stream().mapToLong(b -> b.count()).sum());
                all.sort(Comparator.comparingDouble(ScoredToken::score).reversed());
                checkExtremes(all, summary.top());
                all.sort(Comparator.comparingDouble(ScoredToken::score).thenComparingLong(ScoredToken::document)
                        .thenComparingInt(ScoredToken::position));
                checkExtremes(all, summary.bottom());
            }
            checkPair(model, vectors, windows, state);
        }
    }

    private static void checkExtremes(List<ScoredToken> sorted, List<ScoredToken> kept) {
        assertEquals(OPTIONS.k(), kept.size());
        for (int i = 0; i < kept.size(); i++) {
            assertEquals(sorted.get(i).score(), kept.get(i).score(), 1e-10);
            assertEquals(sorted.get(i).token(), kept.get(i).token());
            assertEquals(sorted.get(i).document(), kept.get(i).document());
            assertEquals(sorted.get(i).position(), kept.get(i).position());
            assertArrayEquals(sorted.get(i).context(), kept.get(i).context());
        }
    }

    private static void checkPair(Transformer model, List<ScoredVector> vectors, List<Window> windows, ScoreState state) {
        double[] x = scoredAlone(model, vectors.get(0), windows).stream().mapToDouble(ScoredToken::score).toArray();
        double[] y = scoredAlone(model, vectors.get(1), windows).stream().mapToDouble(ScoredToken::score).toArray();
        double mx = Arrays.stream(x).average().orElseThrow();
        double my = Arrays.stream(y).average().orElseThrow();
        double xy = IntStream.range(0, x.length).mapToDouble(i -> (x[i] - mx) * (y[i] - my)).sum();
        double xx = IntStream.range(0, x.length).mapToDouble(i -> (x[i] - mx) * (x[i] - mx)).sum();
        PairScores pair = state.pairs().getFirst();
        assertEquals(xy / xx, pair.line().slope(), 1e-8);
        assertEquals(my - xy / xx * mx, pair.line().intercept(), 1e-8);
        assertTrue(pair.intervals(0.95).slope().contains(pair.line().slope()));
        assertTrue(pair.intervals(0.95).r2().low() >= 0);
    }

    /** Each window as its own pass. */
    private static List<ScoredToken> scoredAlone(Transformer model, ScoredVector vector, List<Window> windows) {
        List<ScoredToken> all = new ArrayList<>();
        int d = model.config().dModel();
        for (Window window : windows) {
            try (ActivationCache cache = model.forward(Batch.of(window.tokenIds()))) {
                double[] x = cache.residual(vector.layer(), vector.point()).toDoubles();
                for (int i = window.firstScored(); i < window.length(); i++) {
                    double score = Vectors.dot(Arrays.copyOfRange(x, i * d, (i + 1) * d), vector.vector());
                    int from = Math.max(0, i - OPTIONS.contextTokens());
                    int to = Math.min(window.length(), i + OPTIONS.contextTokens() + 1);
                    all.add(new ScoredToken(score, window.document(), window.start() + i,
                            Arrays.copyOfRange(window.tokenIds(), from, to), i - from));
                }
            }
        }
        return all;
    }

    /** A corpus is never held: the run reads at most one batch and one window ahead. */
    @Test
    void readsOneBatchAtATime() {
        try (Transformer model = open()) {
            Iterator<Window> windows = corpus(model, new Random(5), 40).iterator();
            long[] read = {0};
            Iterator<Window> counting = new Iterator<>() {
                @Override
                public boolean hasNext() {
                    return windows.hasNext();
                }

                @Override
                public Window next() {
                    read[0]++;
                    return windows.next();
                }
            };
            new ScoreRun(model, everywhere(model, new Random(6)), PAIRS, OPTIONS)
                    .run(counting, (done, tokens) -> assertTrue(read[0] <= done + 1, read[0] + " read, " + done + " done"));
        }
    }

    private static final class Killed extends RuntimeException {
        private static final long serialVersionUID = 1;
    }

    @Test
    void killedRunGoesOnAndEndsWithTheSameBits() throws IOException {
        try (Transformer model = open()) {
            ScoreRun run = new ScoreRun(model, everywhere(model, new Random(7)), PAIRS, OPTIONS);
            List<Window> windows = corpus(model, new Random(8), 25);
            byte[] unbroken = bytes(run.run(windows.iterator(), (w, t) -> {}));
            Path file = folder.resolve("scores.checkpoint");
            var saving = new ScoreRun.Saving(file, IDENTITY, Duration.ZERO);
            int kills = 0;
            boolean done = false;
            while (!done) {
                int[] batches = {0};
                int life = 1 + kills % 3;
                try {
                    ScoreState state = run.run(windows.iterator(), saving, (w, t) -> {
                        if (++batches[0] > life) {
                            throw new Killed();
                        }
                    });
                    assertArrayEquals(unbroken, bytes(state), "after " + kills + " kills");
                    done = true;
                } catch (Killed e) {
                    kills++;
                }
            }
            assertTrue(kills > 3, kills + " kills");
            assertArrayEquals(unbroken, bytes(run.run(windows.iterator(), saving, (w, t) -> {})), "a finished run");
            System.out.println(kills + " kills, the same " + unbroken.length + " bytes");
        }
    }

    @Test
    void refusesCheckpointsThatDoNotBelong() throws IOException {
        try (Transformer model = open()) {
            List<ScoredVector> vectors = everywhere(model, new Random(7));
            List<Window> windows = corpus(model, new Random(8), 6);
            Path file = folder.resolve("scores.checkpoint");
            var saving = new ScoreRun.Saving(file, IDENTITY, Duration.ZERO);
            ScoreRun run = new ScoreRun(model, vectors, PAIRS, OPTIONS);
            run.run(windows.iterator(), saving, (w, t) -> {});
            refused(() -> run.run(windows.subList(0, 3).iterator(), saving, (w, t) -> {}));
            refused(() -> run.run(corpus(model, new Random(9), 6).iterator(), saving, (w, t) -> {}));
            var other = new ScoreRun.Saving(file, "another model", Duration.ZERO);
            refused(() -> run.run(windows.iterator(), other, (w, t) -> {}));
            refused(() -> new ScoreRun(model, vectors.reversed(), PAIRS, OPTIONS)
                    .run(windows.iterator(), saving, (w, t) -> {}));
            byte[] bytes = Files.readAllBytes(file);
            for (int at : new int[] {0, 20, bytes.length / 2, bytes.length - 1}) {
                byte[] damaged = bytes.clone();
                damaged[at] ^= 4;
                Files.write(file, damaged);
                refused(() -> run.run(windows.iterator(), saving, (w, t) -> {}));
            }
            Files.write(file, Arrays.copyOf(bytes, 5));
            refused(() -> run.run(windows.iterator(), saving, (w, t) -> {}));
        }
    }

    private static void refused(Executable run) {
        FormatException e = assertThrows(FormatException.class, run);
        assertTrue(e.getMessage().contains("scores.checkpoint"), e.getMessage());
    }

    @Test
    void refusesVectorsWithoutAPlace() {
        try (Transformer model = open(); Transformer parallel = ModelLoader.open(Golden.ROOT.resolve("gptj"), ScalarKernels.float32())) {
            int d = model.config().dModel();
            int layers = model.config().nLayers();
            refused(model, new ScoredVector("v", layers + 1, Point.INPUT, new double[d]));
            refused(model, new ScoredVector("v", layers, Point.MIDDLE, new double[d]));
            refused(model, new ScoredVector("v", -1, Point.INPUT, new double[d]));
            refused(model, new ScoredVector("v", 0, Point.INPUT, new double[d + 1]));
            refused(parallel, new ScoredVector("v", 0, Point.MIDDLE, new double[parallel.config().dModel()]));
        }
    }

    private static void refused(Transformer model, ScoredVector vector) {
        assertThrows(IllegalArgumentException.class, () -> new ScoreRun(model, List.of(vector), List.of(), OPTIONS));
    }

    @Test
    void everyTokenOfADocumentIsScoredOnce() {
        for (int tokens = 0; tokens < 30; tokens++) {
            int[] document = IntStream.range(0, tokens).toArray();
            for (int length = 1; length < 9; length++) {
                for (int stride = 1; stride <= length; stride++) {
                    List<Window> windows = Window.cut(document, 3, length, stride);
                    int[] scored = windows.stream()
                            .flatMapToInt(w -> IntStream.range(w.firstScored(), w.length()).map(i -> w.tokenIds()[i]))
                            .toArray();
                    assertArrayEquals(document, scored);
                    int most = length;
                    assertTrue(windows.stream().allMatch(w -> w.length() <= most && w.tokenIds()[0] == w.start()));
                    int least = length - stride;
                    assertFalse(windows.stream().skip(1).anyMatch(w -> w.firstScored() < least), "too little context");
                }
            }
        }
    }

    private static Transformer open() {
        return ModelLoader.open(Golden.ROOT.resolve("gpt_neo"), ScalarKernels.float32());
    }

    private static byte[] bytes(ScoreState state) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        state.write(new DataOutputStream(bytes));
        return bytes.toByteArray();
    }

    private static List<ScoredVector> everywhere(Transformer model, Random random) {
        List<ScoredVector> vectors = new ArrayList<>();
        int d = model.config().dModel();
        for (int l = 0; l < model.config().nLayers(); l++) {
            vectors.add(new ScoredVector("in" + l, l, Point.INPUT, Tensors.random(random, 1, d)));
            if (model.block(l).hasMiddle()) {
                vectors.add(new ScoredVector("middle" + l, l, Point.MIDDLE, Tensors.random(random, 1, d)));
            }
        }
        vectors.add(new ScoredVector("out", model.config().nLayers(), Point.INPUT, Tensors.random(random, 1, d)));
        vectors.add(new ScoredVector("out2", model.config().nLayers(), Point.INPUT, Tensors.random(random, 1, d)));
        return vectors;
    }

    private static List<Window> corpus(Transformer model, Random random, int documents) {
        return LongStream.range(0, documents)
                .boxed()
                .flatMap(i -> Window.cut(
                        random.ints(1 + random.nextInt(20), 0, model.config().dVocab()).toArray(), i, 8, 5).stream())
                .toList();
    }
}

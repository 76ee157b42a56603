package obsprop.weights.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import obsprop.kernel.cpu.CpuKernels;
import obsprop.tensor.DType;
import obsprop.tensor.io.FormatException;
import obsprop.weights.OutputDirectory;
import obsprop.weights.Program;
import obsprop.weights.checkpoint.ConfigJson;
import obsprop.weights.corpus.Corpus;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TrainingTest {
    private static final TrainingOptions SMALL = new TrainingOptions(9, 250, 3e-3, 3, 0.01, 1, 11);

    @TempDir
    private Path dir;

    @TempDir
    private static Path shared;

    private static Path corpus;

    @BeforeAll
    static void corpus() {
        corpus = shared.resolve("corpus");
        try (OutputDirectory out = OutputDirectory.create(corpus)) {
            Corpus.write(out, 300, 3);
            out.commit();
        }
    }

    private static ConfigJson tiny() {
        return TrainingRun.demoConfig().set("hidden_size", "24").set("num_heads", "3").set("num_layers", "2")
                .set("attention_types", "[[[\"global\", \"local\"], 1]]");
    }

    private TrainingRun run(Path out, CpuKernels kernels, List<String> told) {
        return new TrainingRun(out, corpus, tiny(), SMALL, kernels, told::add);
    }

    @Test
    void sameWeightsForAnyNumberOfThreadsAndAfterAnInterruption() throws IOException {
        try (CpuKernels one = CpuKernels.create(1); CpuKernels two = CpuKernels.create(2)) {
            run(dir.resolve("whole"), one, new ArrayList<>()).run(TrainingRun.Start.FRESH, 100, DType.F32);
            interrupted(two);
            TrainingOptions others = new TrainingOptions(
                    SMALL.steps(), SMALL.batchTokens(), SMALL.learningRate(), SMALL.warmUp(), SMALL.weightDecay(), SMALL.clip(), 99);
            for (TrainingRun other : List.of(
                    new TrainingRun(dir.resolve("resumed"), corpus, tiny(), others, two, line -> {}),
                    new TrainingRun(dir.resolve("resumed"), corpus, tiny().set("num_heads", "2"), SMALL, two, line -> {}))) {
                FormatException e = assertThrows(FormatException.class, () -> other.run(TrainingRun.Start.RESUME, 4, DType.F32));
                assertTrue(e.getMessage().contains("began with other options"), e.getMessage());
            }
            run(dir.resolve("resumed"), two, new ArrayList<>()).run(TrainingRun.Start.RESUME, 4, DType.F32);
        }
        assertArrayEquals(
                Files.readAllBytes(dir.resolve("whole/model.safetensors")),
                Files.readAllBytes(dir.resolve("resumed/model.safetensors")));
        assertTrue(Files.notExists(dir.resolve("resumed.training")), "nothing half-done stays");
        assertEquals(0, Program.run("verify", dir.resolve("whole")).exitCode());
    }

    /** Stops right after the checkpoint of step 8: the disk that holds the result is "gone". */
    private void interrupted(CpuKernels kernels) throws IOException {
        Path out = dir.resolve("resumed");
        TrainingRun run = new TrainingRun(out, corpus, tiny(), SMALL, kernels, line -> {
            throw new IllegalStateException("interrupted");
        });
        try {
            run.run(TrainingRun.Start.FRESH, 4, DType.F32);
        } catch (IllegalStateException expected) {
            assertTrue(Files.isDirectory(dir.resolve("resumed.training/step-8")));
            assertTrue(Files.notExists(out));
            return;
        }
        throw new AssertionError("was not interrupted");
    }

    @Test
    void resumingWithoutACheckpointIsRefused() {
        try (CpuKernels kernels = CpuKernels.create(1)) {
            TrainingRun run = run(dir.resolve("none"), kernels, new ArrayList<>());
            FormatException e = assertThrows(
                    FormatException.class, () -> run.run(TrainingRun.Start.RESUME, 4, DType.F32));
            assertTrue(e.getMessage().contains("--resume"), e.getMessage());
        }
    }

    @Test
    void whatCannotBeTrainedIsOneLine() {
        List<String> out = List.of("train", "--out", dir.resolve("bad").toString(), "--corpus", corpus.toString());
        for (List<String> wrong : List.of(
                List.of("--checkpoint-every", "0"), List.of("--threads", "0"), List.of("--steps", "0"),
                List.of("--config", config("max_position_embeddings", "3")))) {
            var run = Program.run(Stream.concat(out.stream(), wrong.stream()).toArray());
            assertEquals(2, run.exitCode(), wrong + run.err());
            assertEquals(1, run.err().lines().count(), run.err());
            assertTrue(Files.notExists(dir.resolve("bad.training")), "something stays");
        }
    }

    private String config(String key, String value) {
        try {
            return Files.writeString(dir.resolve("config.json"), tiny().set(key, value).text()).toString();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Test
    void lossFalls() throws IOException {
        List<String> told = new ArrayList<>();
        TrainingOptions longer = new TrainingOptions(60, 250, 1e-2, 5, 0.01, 1, 1);
        try (CpuKernels kernels = CpuKernels.create(2)) {
            new TrainingRun(dir.resolve("out"), corpus, tiny(), longer, kernels, told::add)
                    .run(TrainingRun.Start.FRESH, 100, DType.BF16);
        }
        List<String> log = Files.readAllLines(dir.resolve("out/training-log.jsonl"));
        double first = loss(log.getFirst());
        double last = loss(log.getLast());
        System.out.println("mean loss of the first ten steps " + first + ", of the last ten " + last);
        assertTrue(last < first - 1);
        assertTrue(Files.readString(dir.resolve("out/evaluation.json")).contains("unseen_pairs"));
    }

    private static double loss(String line) {
        return Double.parseDouble(line.replaceAll(".*\"loss\":([0-9.]+).*", "$1"));
    }

    @Test
    void everyDocumentOnceAnEpochWithItsTargets() {
        List<int[]> documents = IntStream.range(0, 50).mapToObj(i -> new int[] {i, 100 + i, 200 + i}).toList();
        Batches batches = new Batches(documents, 999, 20, 37, 5);
        int[] seen = new int[50];
        for (int rows = 0; rows < 50 * 3; ) {
            Batches.Examples examples = batches.next();
            int[] ids = examples.batch().tokenIds();
            assertTrue(ids.length <= 37);
            assertTrue(examples.batch().segments().longest() <= 20);
            for (int r = 0; r < ids.length; r++) {
                boolean inside = ids[r] < 200;
                assertEquals(inside ? ids[r] + 100 : ids[r] == 999 ? examples.targets()[r] : 999, examples.targets()[r]);
                if (ids[r] < 100) {
                    seen[ids[r]]++;
                    rows += 3;
                }
            }
        }
        assertTrue(Arrays.stream(seen).allMatch(n -> n >= 1 && n <= 2), Arrays.toString(seen));
    }

    @Test
    void scheduleRisesAndFalls() {
        Schedule schedule = new Schedule(2, 10, 110);
        assertEquals(0.2, schedule.rate(1), 1e-12);
        assertEquals(2, schedule.rate(10), 1e-12);
        assertEquals(2 * (0.03 + 0.97 / 2), schedule.rate(60), 1e-12);
        assertEquals(0.06, schedule.rate(110), 1e-12);
    }
}

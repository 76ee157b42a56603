package obsprop.cli.commands;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import obsprop.cli.Invocation;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Every command says on the CUDA emulator what it says on the CPU, with the weights on the device and streamed to it. */
class CudaCommandsTest {
    private static final String WOMAN = "So, Anna really is a great friend, isn't";
    private static final String MAN = "So, John really is a great friend, isn't";
    private static final String OBSERVABLE = "\" she\" - \" he\"";

    @TempDir
    private Path folder;

    private List<List<String>> commands() throws IOException {
        String vector = folder.resolve("v.safetensors").toString();
        Path texts = Files.write(folder.resolve("t.txt"), List.of(WOMAN, MAN));
        List<String> labelled = new ArrayList<>();
        for (int i = 0; i < 6; i++) {
            labelled.add("{\"text\": \"" + WOMAN + " she\", \"label\": \"a\"}");
            labelled.add("{\"text\": \"" + MAN + " he\", \"label\": \"b\"}");
        }
        Path labels = Files.write(folder.resolve("l.jsonl"), labelled);
        List<String> pair = List.of("--observable", OBSERVABLE, "--prompt", WOMAN, "--corrupted", MAN);
        return List.of(
                List.of("info"),
                List.of("heads", "--observable", OBSERVABLE),
                List.of("trace", "--observable", OBSERVABLE, "--prompt", WOMAN),
                List.of("vector", "--observable", OBSERVABLE, "--path", "attn3.2@8", "--norm", "frozen", "--prompt", WOMAN, "--out", vector),
                List.of("attribute", "--observable", OBSERVABLE, "--prompt", WOMAN),
                with(pair, "patch", "--heads"),
                with(pair, "patch", "--path", "attn3.2@8"),
                with(pair, "paths", "--depth", "2", "--beam", "3"),
                with(pair, "steer", "--vector", vector, "--pairwise", "-k", "3"),
                List.of("compare", "--observable", OBSERVABLE, "--observable", "\" her\" - \" his\""),
                List.of("score", "--observable", OBSERVABLE, "--vector", vector, "--text", texts.toString()),
                List.of("lens", "--vector", vector),
                List.of("probe", "--vector", vector, "--text", labels.toString(), "--train", "3", "--replicates", "20"),
                List.of("norms", "--text", texts.toString()));
    }

    private static List<String> with(List<String> shared, String command, String... more) {
        return Stream.of(Stream.of(command), shared.stream(), Stream.of(more)).flatMap(s -> s).toList();
    }

    private static String run(List<String> command, String... more) {
        Invocation run = Invocation.of(Stream.concat(command.stream(), Stream.of(more)).toArray(String[]::new));
        assertEquals(0, run.code(), command + ": " + run.err());
        return run.out();
    }

    @Test
    void sayTheSame() throws IOException {
        try (EmulatedCuda _ = new EmulatedCuda()) {
            for (List<String> command : commands()) {
                String onCpu = run(command, "--device", "cpu", "--quiet");
                String resident = run(command, "--device", "cuda", "--quiet");
                String streamed = run(command, "--device", "cuda", "--stream-layers", "--quiet");
                if (!command.getFirst().equals("info")) { // which tells them apart
                    requireSame(command, onCpu, resident);
                    requireSame(command, onCpu, streamed);
                }
            }
        }
    }

    /** The same words, and numbers that are the same but for their last digit. */
    private static void requireSame(List<String> command, String expected, String actual) {
        String[] a = expected.split("[\\s,%:]+");
        String[] b = actual.split("[\\s,%:]+");
        assertEquals(a.length, b.length, () -> command + ":\n" + expected + "\n" + actual);
        for (int i = 0; i < a.length; i++) {
            if (!a[i].equals(b[i])) {
                double x = Double.parseDouble(a[i]);
                assertTrue(Math.abs(x - Double.parseDouble(b[i])) <= 2e-3 * Math.max(1, Math.abs(x)), command + ": " + a[i] + ", " + b[i]);
            }
        }
    }
}

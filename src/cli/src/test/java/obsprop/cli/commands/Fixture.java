package obsprop.cli.commands;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import obsprop.tensor.Tensor;
import obsprop.tensor.io.SafetensorsFile;

/** A golden fixture as the command line takes it. */
record Fixture(Path directory, SafetensorsFile expected) {
    /** What the project promises against the fixtures, whose own float32 steps leave about 2e-5. */
    static final double TOLERANCE = 5e-5;
    private static final Path ROOT = Path.of(System.getProperty("obsprop.golden"));

    static Stream<String> names() {
        try (Stream<Path> entries = Files.list(ROOT)) {
            return entries.filter(Files::isDirectory).map(path -> path.getFileName().toString()).sorted().toList().stream();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    static Fixture open(String name) {
        Path directory = ROOT.resolve(name);
        return new Fixture(directory, SafetensorsFile.open(directory.resolve("expected.safetensors"), Arena.ofAuto()));
    }

    /** The dense observable as a sum of ids. */
    String observable() {
        double[] weights = expected.tensor("observable").toDoubles();
        return "golden=" + IntStream.range(0, weights.length).filter(id -> weights[id] != 0)
                .mapToObj(id -> (weights[id] < 0 ? "- " : "+ ") + Math.abs(weights[id]) + "*#" + id)
                .collect(Collectors.joining(" "));
    }

    /** How long the prompts are. */
    int tokens() {
        return expected.tensor("input_ids").size(1);
    }

    int layers() {
        return expected.tensor("ov_feature").size(0);
    }

    int heads() {
        return expected.tensor("ov_feature").size(1);
    }

    /** Prompt {@code b} as a list of ids. */
    String prompt(int b) {
        Tensor ids = expected.tensor("input_ids");
        return IntStream.range(0, ids.size(1)).mapToObj(t -> Integer.toString((int) ids.get(b, t))).collect(Collectors.joining(","));
    }

    /** Compares relative to max(1, the largest expected value), and prints the error. */
    static void check(String what, Tensor expected, Tensor actual) {
        assertArrayEquals(expected.shape(), actual.shape(), what);
        check(what, expected.toDoubles(), actual.toDoubles());
    }

    static void check(String what, double[] expected, double[] actual) {
        double largest = Math.max(1, IntStream.range(0, expected.length).mapToDouble(i -> Math.abs(expected[i])).max().orElse(0));
        double error = IntStream.range(0, expected.length)
                .mapToDouble(i -> Double.isNaN(actual[i]) ? Double.POSITIVE_INFINITY : Math.abs(expected[i] - actual[i]))
                .max().orElse(0) / largest;
        System.out.printf("%-56s %.1e%n", what, error);
        assertTrue(error <= TOLERANCE, () -> what + ": off by " + error + ", more than " + TOLERANCE);
    }
}

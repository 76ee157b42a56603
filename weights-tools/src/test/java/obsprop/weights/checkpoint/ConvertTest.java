package obsprop.weights.checkpoint;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import obsprop.model.io.Config;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;
import obsprop.tensor.io.SafetensorsWriter;
import obsprop.weights.Program;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ConvertTest {
    @TempDir
    private Path dir;

    private void succeed(Object... arguments) {
        Program.Run run = Program.run(arguments);
        assertEquals(0, run.exitCode(), run.err());
    }

    @Test
    void thereAndBackThroughTypesShardsAndPrefixes() throws IOException {
        succeed("convert", Program.golden("gpt2"), "--dtype", "bf16", "--out", dir.resolve("a"));
        String shard = Files.size(dir.resolve("a").resolve("model.safetensors")) / 5000 + "KB";
        succeed("convert", dir.resolve("a"), "--prefix", "remove", "--max-shard-size", shard, "--out", dir.resolve("b"));
        succeed("verify", dir.resolve("b"));
        succeed("convert", dir.resolve("b"), "--prefix", "add", "--dtype", "f32", "--out", dir.resolve("c"));
        assertEquals("float32", Config.read(dir.resolve("c")).requireString("dtype"));
        try (Arena arena = Arena.ofShared()) {
            Map<String, Tensor> before = ModelFiles.tensors(ModelFiles.open(Program.golden("gpt2"), arena));
            Map<String, Tensor> after = ModelFiles.tensors(ModelFiles.open(dir.resolve("c"), arena));
            assertEquals(before.keySet(), after.keySet());
            assertTrue(ModelFiles.open(dir.resolve("b"), arena).size() > 3);
            double worst = 0;
            for (String name : before.keySet()) {
                double[] x = before.get(name).toDoubles();
                double[] y = after.get(name).toDoubles();
                for (int i = 0; i < x.length; i++) {
                    worst = Math.max(worst, Math.abs(x[i] - y[i]) / Math.max(Math.abs(x[i]), 1e-30));
                }
            }
            System.out.println("largest relative change by way of BF16: " + worst);
            assertTrue(worst > 0 && worst <= 0x1p-8);
        }
    }

    @Test
    void sameTypeKeepsEveryBit() {
        succeed("convert", Program.golden("llama"), "--out", dir.resolve("same"));
        List<String> before = Inspection.of(Program.golden("llama").resolve("model.safetensors")).stream()
                .map(i -> i.name() + i.sha256()).sorted().toList();
        assertEquals(before, Inspection.of(dir.resolve("same").resolve("model.safetensors")).stream()
                .map(i -> i.name() + i.sha256()).sorted().toList());
    }

    @Test
    void tooLargeForATypeIsRefusedAndNothingStays() throws IOException {
        Path model = Files.createDirectory(dir.resolve("large"));
        Files.copy(Program.golden("gpt2").resolve("config.json"), model.resolve("config.json"));
        try (Arena arena = Arena.ofConfined()) {
            SafetensorsWriter.write(model.resolve("model.safetensors"),
                    Map.of("w", Tensor.ofFloats(arena, new float[] {1, 70000}, 2)), Map.of());
        }
        refused("too large for F16", "convert", model, "--dtype", "f16", "--out", dir.resolve("out"));
        try (Arena arena = Arena.ofConfined()) {
            SafetensorsWriter.write(model.resolve("model.safetensors"),
                    Map.of("w", Tensor.ofFloats(arena, new float[] {1, Float.MAX_VALUE}, 2)), Map.of());
        }
        refused("too large for BF16", "convert", model, "--dtype", "bf16", "--out", dir.resolve("out"));
        try (Arena arena = Arena.ofConfined()) {
            Tensor wide = Tensor.allocate(arena, DType.F64, 2);
            wide.set(1e39, 1);
            SafetensorsWriter.write(model.resolve("model.safetensors"), Map.of("w", wide), Map.of());
        }
        for (String type : new String[] {"f32", "bf16", "f16"}) {
            refused("1.0E39 is too large for " + type.toUpperCase(Locale.ROOT), "convert", model, "--dtype", type, "--out", dir.resolve("out"));
        }
        assertEquals(Set.of("large"), names());
    }

    @Test
    void findingsAreOnStdoutAndTheirNumberIsOnStderr() throws IOException {
        Path model = Files.createDirectory(dir.resolve("deeper"));
        Files.copy(Program.golden("gpt2").resolve("model.safetensors"), model.resolve("model.safetensors"));
        Path config = Program.golden("gpt2").resolve("config.json");
        int layers = Config.read(config).requireInt("n_layer");
        Files.writeString(model.resolve("config.json"),
                Files.readString(config).replaceFirst("\"n_layer\": \\d+", "\"n_layer\": " + (layers + 1)));
        for (Program.Run run : List.of(Program.run("verify", model), Program.run("verify", "--json", model))) {
            assertEquals(2, run.exitCode());
            assertTrue(run.out().contains("transformer.h." + layers + ".ln_1.weight: missing"), run.out());
            assertEquals("weights: " + model + ": 12 problems, listed on stdout\n", run.err());
        }
    }

    @Test
    void badInputIsOneLineAndNothingStays() throws IOException {
        byte[] whole = Files.readAllBytes(Program.golden("gpt2").resolve("model.safetensors"));
        Path truncated = Files.createDirectory(dir.resolve("truncated"));
        Files.write(truncated.resolve("model.safetensors"), Arrays.copyOf(whole, whole.length - 9));
        Files.copy(Program.golden("gpt2").resolve("config.json"), truncated.resolve("config.json"));
        Path unknown = Files.createDirectory(dir.resolve("unknown"));
        Files.write(unknown.resolve("model.safetensors"), whole);
        Files.writeString(unknown.resolve("config.json"), "{\"model_type\": \"rwkv\"}");
        Path out = dir.resolve("out");
        refused("model.safetensors", "convert", truncated, "--out", out);
        refused("rwkv", "convert", unknown, "--out", out);
        refused("rwkv", "verify", unknown);
        refused("no such file", "convert", dir.resolve("absent"), "--out", out);
        refused("no such shape", "random", "--like", "gpt-99", "--out", out);
        refused("already exists", "random", "--like", "gpt2", "--out", unknown);
        refused("expected an integer", "random", "--like", "gpt2", "--set", "n_layer=many", "--out", out);
        refused("n_layer=many", "random", "--like", "gpt2", "--set", "n_layer=many", "--out", out);
        refused("without layers", "random", "--like", "gpt2", "--set", "n_layer=-1", "--out", out);
        refused("[50257, 0]", "random", "--like", "gpt2", "--set", "n_embd=0", "--out", out);
        refused("n_head: is 0", "random", "--like", "gpt2", "--set", "n_head=0", "--out", out);
        refused("--documents: -1", "corpus", "--documents", "-1", "--out", out);
        refused("--documents: 0", "train", "--documents", "0", "--out", out);
        refused("--threads: 100000", "train", "--threads", "100000", "--out", out);
        refused("not a size", "random", "--like", "gpt2", "--max-shard-size", "much", "--out", out);
        assertEquals(Set.of("truncated", "unknown"), names());
    }

    private void refused(String why, Object... arguments) {
        Program.Run run = Program.run(arguments);
        assertEquals(2, run.exitCode(), run.err());
        assertEquals(1, run.err().lines().count(), run.err());
        assertTrue(run.err().contains(why), run.err());
        assertEquals("", run.out());
    }

    private Set<String> names() throws IOException {
        try (var files = Files.list(dir)) {
            return files.map(f -> f.getFileName().toString()).collect(Collectors.toSet());
        }
    }

    @Test
    void inspectCountsWhatIsNotFinite() {
        Path file = dir.resolve("flawed.safetensors");
        try (Arena arena = Arena.ofConfined()) {
            float nan = Float.NaN;
            float infinite = Float.POSITIVE_INFINITY;
            SafetensorsWriter.write(file, Map.of(
                    "w", Tensor.ofFloats(arena, new float[] {3, nan, -4, infinite, -infinite, nan}, 2, 3)), Map.of());
        }
        Inspection w = Inspection.of(file).getFirst();
        assertEquals(5, w.norm(), 0);
        assertEquals(4, w.largest(), 0);
        assertArrayEquals(new long[] {2, 2}, new long[] {w.nans(), w.infinities()});
        assertTrue(Program.run("inspect", file).out().contains("2 NaN  2 infinite"));
        Program.Run json = Program.run("inspect", "--json", file);
        assertTrue(json.out().contains("\"nan\" : 2"), json.out());
        assertEquals(DType.F32, w.tensor().dtype());
    }

    /** The hash of no bytes is a well-known number. */
    @Test
    void hashIsSha256OfTheData() {
        Path file = dir.resolve("empty.safetensors");
        try (Arena arena = Arena.ofConfined()) {
            SafetensorsWriter.write(file, Map.of("none", Tensor.allocate(arena, DType.F32, 0, 3)), Map.of());
        }
        assertEquals("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                Inspection.of(file).getFirst().sha256());
    }
}

package obsprop.weights.checkpoint;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.SequencedMap;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;
import obsprop.weights.Program;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RandomCheckpointTest {
    @TempDir
    private Path dir;

    private Path random(String name, Object... more) {
        Path out = dir.resolve(name);
        Object[] arguments = {"random", "--config", Program.golden("gemma3_text"), "--set", "hidden_size=207", "--out", out};
        Object[] all = Arrays.copyOf(arguments, arguments.length + more.length);
        System.arraycopy(more, 0, all, arguments.length, more.length);
        Program.Run run = Program.run(all);
        assertEquals(0, run.exitCode(), run.err());
        return out;
    }

    private static SequencedMap<String, Tensor> tensors(Path model, Arena arena) {
        return ModelFiles.tensors(ModelFiles.open(model, arena));
    }

    @Test
    void valuesDependOnSeedNotOnTypeOrShards() throws IOException {
        Path plain = random("plain");
        Path sharded = random("sharded", "--max-shard-size", Files.size(plain.resolve("model.safetensors")) / 4000 + "KB");
        Path half = random("half", "--dtype", "bf16");
        Path other = random("other", "--seed", "2");
        assertTrue(Files.exists(sharded.resolve("model.safetensors.index.json")));
        try (Arena arena = Arena.ofShared()) {
            var a = tensors(plain, arena);
            var b = tensors(sharded, arena);
            var c = tensors(half, arena);
            var d = tensors(other, arena);
            assertEquals(a.keySet(), b.keySet());
            for (String name : a.keySet()) {
                assertArrayEquals(a.get(name).toFloats(), b.get(name).toFloats(), name);
                assertFalse(Arrays.equals(a.get(name).toFloats(), d.get(name).toFloats()), name);
                Tensor rounded = Tensor.allocate(arena, DType.BF16, a.get(name).shape());
                for (long i = 0; i < rounded.elements(); i++) {
                    rounded.write(i, a.get(name).read(i));
                }
                assertArrayEquals(rounded.toFloats(), c.get(name).toFloats(), name);
            }
        }
        assertEquals(0, Program.run("verify", sharded).exitCode());
    }

    @Test
    void matricesKeepTheScaleOfTheirInputs() {
        Path model = random("scale");
        try (Arena arena = Arena.ofShared()) {
            double[] w = tensors(model, arena).get("model.layers.1.mlp.up_proj.weight").toDoubles();
            double variance = Arrays.stream(w).map(x -> x * x).sum() / w.length * 207;
            System.out.println("variance of a weight times its inputs: " + variance);
            assertEquals(1, variance, 5 * Math.sqrt(2.0 / w.length));
        }
    }

    @Test
    void knownShapesAreComplete() {
        for (String name : new String[] {"gpt2", "gpt-neo-1.3b", "pythia-1b", "llama-3.2-1b", "gemma-3-1b", "opt-350m"}) {
            long parameters = 0;
            Path config = dir.resolve(name + ".json");
            try {
                Files.writeString(config, ConfigJson.like(name).text());
            } catch (java.io.IOException e) {
                throw new java.io.UncheckedIOException(e);
            }
            for (TensorSpec spec : FamilyLayout.of(obsprop.model.io.Config.read(config))) {
                parameters += spec.elements();
            }
            System.out.println(name + ": " + parameters + " parameters");
            assertTrue(parameters > 100_000_000, name);
        }
    }
}

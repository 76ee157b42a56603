package obsprop.model.io;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;
import obsprop.tensor.io.FormatException;
import obsprop.tensor.io.SafetensorsWriter;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;

class CheckpointTest {
    private final Arena arena = Arena.ofConfined();
    @TempDir
    private Path dir;

    @AfterEach
    void free() {
        arena.close();
    }

    private Tensor floats(float... values) {
        return Tensor.ofFloats(arena, values, values.length);
    }

    private void shard(String file, Object... namesAndTensors) {
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        for (int i = 0; i < namesAndTensors.length; i += 2) {
            tensors.put((String) namesAndTensors[i], (Tensor) namesAndTensors[i + 1]);
        }
        SafetensorsWriter.write(dir.resolve(file), tensors, Map.of("format", "pt"));
    }

    private void index(String weightMap) throws IOException {
        Files.writeString(dir.resolve("model.safetensors.index.json"),
                "{\"metadata\": {\"total_size\": 1}, \"weight_map\": " + weightMap + "}");
    }

    private void requireRefused(String expected, Executable action) {
        String message = assertThrows(FormatException.class, action).getMessage();
        assertTrue(message.startsWith(dir.toString()) && message.contains(expected), message);
        assertFalse(message.contains("\n"), message);
    }

    private void requireNotOpened(String expected) {
        requireRefused(expected, () -> Checkpoint.open(dir, arena));
    }

    @Test
    void takesTensorsOfOneFile() {
        shard("model.safetensors", "transformer.wte.weight", floats(1, 2, 3), "transformer.h.0.bias", floats(4),
                "mask", Tensor.allocate(arena, DType.BOOL, 2, 2));
        Checkpoint checkpoint = Checkpoint.open(dir, arena);
        assertEquals(20, checkpoint.bytes());
        assertEquals("transformer.", checkpoint.detectPrefix("wte.weight", "", "model.", "transformer."));
        assertArrayEquals(new float[] {1, 2, 3}, checkpoint.take("transformer.wte.weight", 3).toFloats());
        assertArrayEquals(new int[] {2, 2}, checkpoint.shapeOf("mask"));
        assertEquals(List.of("transformer.wte.weight", "transformer.h.0.bias", "mask"), List.copyOf(checkpoint.names()));
        requireRefused("has shape [1], expected [2, 2]", () -> checkpoint.take("transformer.h.0.bias", 2, 2));
        requireRefused("'mask' has dtype BOOL", () -> checkpoint.take("mask", 2, 2));
        requireRefused("'wte.weight' is missing; the closest names are 'transformer.wte.weight'", () -> checkpoint.take("wte.weight", 3));
        requireRefused("closest names are 'transformer.h.0.bias'", () -> checkpoint.shapeOf("transformer.h.1.bias"));
        requireRefused("'wpe.weight' is missing", () -> checkpoint.detectPrefix("wpe.weight", "", "transformer."));
        requireRefused("1 tensors that this model family does not know: 'transformer.h.0.bias'",
                () -> checkpoint.requireAllUsed("mask"::equals));
        checkpoint.take("transformer.h.0.bias", 1);
        checkpoint.requireAllUsed("mask"::equals);
    }

    @Test
    void countsManySurplusTensors() {
        shard("model.safetensors", "a", floats(1), "b", floats(1), "c", floats(1), "d", floats(1), "e", floats(1));
        requireRefused("5 tensors that this model family does not know: 'a', 'b', 'c' and 2 more",
                () -> Checkpoint.open(dir, arena).requireAllUsed(_ -> false));
    }

    @Test
    void takesTensorsOfShards() throws IOException {
        shard("one.safetensors", "a", floats(1, 2), "b", floats(3));
        shard("two.safetensors", "c", floats(4, 5, 6));
        index("{\"c\": \"two.safetensors\", \"a\": \"one.safetensors\", \"b\": \"one.safetensors\"}");
        Checkpoint checkpoint = Checkpoint.open(dir, arena);
        assertEquals(24, checkpoint.bytes());
        assertArrayEquals(new float[] {1, 2}, checkpoint.take("a", 2).toFloats());
        assertArrayEquals(new float[] {3}, checkpoint.take("b", 1).toFloats());
        assertArrayEquals(new float[] {4, 5, 6}, checkpoint.take("c", 3).toFloats());
        checkpoint.requireAllUsed(_ -> false);
        requireRefused(dir.resolve("two.safetensors") + ": tensor 'c'", () -> checkpoint.take("c", 4));
    }

    @Test
    void refusesIndexThatContradictsShards() throws IOException {
        shard("one.safetensors", "a", floats(1, 2), "b", floats(3));
        shard("two.safetensors", "c", floats(4));
        index("{\"a\": \"one.safetensors\", \"b\": \"one.safetensors\", \"c\": \"three.safetensors\"}");
        requireNotOpened("names the shard 'three.safetensors', which is missing");
        index("{\"a\": \"one.safetensors\", \"b\": \"one.safetensors\", \"c\": \"two.safetensors\", \"d\": \"two.safetensors\"}");
        requireNotOpened("says that tensor 'd' is in two.safetensors, but it is not there");
        index("{\"a\": \"one.safetensors\", \"c\": \"two.safetensors\"}");
        requireNotOpened("does not list tensor 'b', which is in one.safetensors");
        shard("two.safetensors", "c", floats(4), "b", floats(3));
        index("{\"a\": \"one.safetensors\", \"b\": \"one.safetensors\", \"c\": \"two.safetensors\"}");
        requireNotOpened("'b' is in one.safetensors, but two.safetensors holds one of the same name");
    }

    @Test
    void refusesBadIndex() throws IOException {
        for (String shard : List.of("../a.safetensors", "/a.safetensors", "sub/a.safetensors", "..", ".", "", "..\\\\a", "a\\u0000b")) {
            index("{\"a\": \"" + shard + "\"}");
            requireNotOpened("not the plain name of a file");
        }
        index("{\"a\": 3}");
        requireNotOpened("'a' is the number 3");
        index("[]");
        requireNotOpened("has no object weight_map");
        Files.writeString(dir.resolve("model.safetensors.index.json"), "{}");
        requireNotOpened("has no object weight_map");
        Files.writeString(dir.resolve("model.safetensors.index.json"), "[");
        requireNotOpened("invalid JSON");
    }

    @Test
    void refusesDirectoriesWithoutWeights() throws IOException {
        requireNotOpened("has neither model.safetensors nor");
        Files.createFile(dir.resolve("pytorch_model.bin"));
        requireNotOpened("has only pytorch_model.bin, which is not read: convert it in Python");
        requireRefused("no such directory", () -> Checkpoint.open(dir.resolve("absent"), arena));
    }

    @Test
    void opensEveryGoldenModel() throws IOException {
        try (var dirs = Files.newDirectoryStream(Path.of(System.getProperty("obsprop.golden")), Files::isDirectory)) {
            for (Path golden : dirs) {
                Checkpoint checkpoint = Checkpoint.open(golden, arena);
                assertTrue(checkpoint.bytes() > 0, golden.toString());
                checkpoint.names().forEach(name -> checkpoint.take(name, checkpoint.shapeOf(name)));
                checkpoint.requireAllUsed(_ -> false);
            }
        }
    }
}

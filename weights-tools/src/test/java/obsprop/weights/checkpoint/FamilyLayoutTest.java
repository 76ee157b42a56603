package obsprop.weights.checkpoint;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import obsprop.model.family.ModelLoader;
import obsprop.model.io.Config;
import obsprop.tensor.io.SafetensorsFile;
import obsprop.weights.Program;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Names and shapes that we derive from config.json against those that the reference implementation saved. */
class FamilyLayoutTest {
    static Stream<Path> goldenModels() throws IOException {
        try (Stream<Path> dirs = Files.list(Program.golden(""))) {
            return dirs.filter(d -> Files.exists(d.resolve("model.safetensors"))).sorted().toList().stream();
        }
    }

    @ParameterizedTest
    @MethodSource("goldenModels")
    void namesAndShapesAreThoseOfTheReference(Path dir) {
        Map<String, List<Integer>> implied = new TreeMap<>();
        FamilyLayout.of(Config.read(dir)).forEach(s -> implied.put(s.name(), s.shape()));
        Map<String, List<Integer>> saved = new TreeMap<>();
        try (Arena arena = Arena.ofConfined()) {
            SafetensorsFile file = SafetensorsFile.open(dir.resolve("model.safetensors"), arena);
            file.names().forEach(n -> saved.put(n, Arrays.stream(file.tensor(n).shape()).boxed().toList()));
        }
        assertEquals(saved, implied);
    }

    @Test
    void everyFamilyThatTheEngineReadsIsKnown() {
        assertEquals(ModelLoader.modelTypes(), FamilyLayout.families());
    }
}

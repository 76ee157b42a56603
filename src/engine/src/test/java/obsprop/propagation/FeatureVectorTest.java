package obsprop.propagation;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import obsprop.model.Point;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;
import obsprop.tensor.io.FormatException;
import obsprop.tensor.io.SafetensorsWriter;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class FeatureVectorTest {
    @TempDir
    Path folder;

    private final Provenance provenance =
            new Provenance("some/model", "she\u2013he", "mlp2@5 <= attn1.0@3", "exact", "frozen", "clean");

    @Test
    void savesAndLoads() throws IOException {
        FeatureVector saved = new FeatureVector(
                new double[] {1.5, -2, 0, Math.PI}, new Site(1, Point.MIDDLE, 3), provenance);
        Path file = folder.resolve("y.safetensors");
        saved.save(file);
        FeatureVector loaded = FeatureVector.load(file);
        assertArrayEquals(new double[] {1.5, -2, 0, (float) Math.PI}, loaded.direction());
        assertEquals(saved.site(), loaded.site());
        assertEquals(saved.provenance(), loaded.provenance());
        try (var files = Files.list(folder)) {
            assertEquals(1, files.count());
        }
    }

    @Test
    void loadsVectorsMadeElsewhere() {
        Path file = folder.resolve("y.safetensors");
        try (Arena arena = Arena.ofConfined()) {
            Tensor tensor = Tensor.allocate(arena, DType.BF16, 3);
            tensor.set(0.5, 1);
            SafetensorsWriter.write(file, Map.of("feature", tensor), Map.of());
        }
        assertTrue(refused(file).contains("site"));
        FeatureVector loaded = FeatureVector.load(file, new Site(0, Point.INPUT, -1));
        assertArrayEquals(new double[] {0, 0.5, 0}, loaded.direction());
        assertEquals("", loaded.provenance().model());
    }

    @Test
    void refusesOtherFiles() {
        Path file = folder.resolve("y.safetensors");
        assertTrue(refused(file).contains("y.safetensors"));
        try (Arena arena = Arena.ofConfined()) {
            Map<String, String> site = Map.of("site", "residual0@-1");
            SafetensorsWriter.write(file, Map.of("other", Tensor.allocate(arena, DType.F32, 3)), site);
            assertTrue(refused(file).contains("feature"));
            SafetensorsWriter.write(file, Map.of("feature", Tensor.allocate(arena, DType.F32, 1, 3)), site);
            assertTrue(refused(file).contains("[1, 3]"));
            SafetensorsWriter.write(file, Map.of("feature", Tensor.allocate(arena, DType.I32, 3)), site);
            assertTrue(refused(file).contains("I32"));
            Tensor tensor = Tensor.allocate(arena, DType.F32, 3);
            SafetensorsWriter.write(file, Map.of("feature", tensor), Map.of("site", "nowhere"));
            assertTrue(refused(file).contains("nowhere"));
            tensor.set(Double.NaN, 2);
            SafetensorsWriter.write(file, Map.of("feature", tensor), site);
            assertTrue(refused(file).contains("NaN"));
        }
    }

    private static String refused(Path file) {
        String message = assertThrows(FormatException.class, () -> FeatureVector.load(file)).getMessage();
        assertFalse(message.contains("\n"));
        return message;
    }

    @Test
    void sites() {
        for (Site site : new Site[] {new Site(0, Point.INPUT, 0), new Site(12, Point.MIDDLE, -3)}) {
            assertEquals(site, Site.parse(site.toString()));
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"", "residual", "residual@1", "residual1", "residual1.middle", "residual-1@2", "residual1@1.5",
        "residual1.input@3", "residual99999999999@1", "residual1@\n1"})
    void refusesJunkSites(String text) {
        assertFalse(assertThrows(IllegalArgumentException.class, () -> Site.parse(text)).getMessage().contains("\n"));
    }
}

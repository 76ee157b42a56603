package obsprop.tensor.io;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.SequencedMap;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SafetensorsWriterTest {
    private static final int[][] SHAPES = {{}, {0}, {1}, {7, 0, 3}, {13}, {3, 7}, {2, 1, 5, 3}, {207, 13}};

    private final Arena arena = Arena.ofConfined();
    private final Random random = new Random(5);
    @TempDir
    private Path dir;

    @AfterEach
    void free() {
        arena.close();
    }

    private Tensor random(DType dtype, int... shape) {
        Tensor tensor = Tensor.allocate(arena, dtype, shape);
        byte[] bytes = new byte[Math.toIntExact(tensor.segment().byteSize())];
        random.nextBytes(bytes);
        MemorySegment.copy(bytes, 0, tensor.segment(), ValueLayout.JAVA_BYTE, 0, bytes.length);
        return tensor;
    }

    private static byte[] bytes(Tensor tensor) {
        return tensor.segment().asSlice(0, tensor.elements() * tensor.dtype().bytes()).toArray(ValueLayout.JAVA_BYTE);
    }

    private List<String> filesLeft() throws IOException {
        try (var files = Files.list(dir)) {
            return files.map(file -> file.getFileName().toString()).sorted().toList();
        }
    }

    @Test
    void roundTripsAllTypesAndShapes() throws IOException {
        SequencedMap<String, Tensor> tensors = new LinkedHashMap<>();
        for (DType dtype : DType.values()) {
            for (int[] shape : SHAPES) {
                tensors.putFirst("λ \"" + dtype + "\"\n" + List.of(shape.length, tensors.size()), random(dtype, shape));
            }
        }
        Map<String, String> metadata = Map.of("format", "pt", "note", "two\nlines, ▁");
        Path file = dir.resolve("all.safetensors");
        SafetensorsWriter.write(file, tensors, metadata);
        SafetensorsFile read = SafetensorsFile.open(file, arena);
        assertEquals(List.copyOf(tensors.keySet()), List.copyOf(read.names()));
        assertEquals(metadata, read.metadata());
        tensors.forEach((name, written) -> {
            Tensor tensor = read.tensor(name);
            assertEquals(written.dtype(), tensor.dtype());
            assertArrayEquals(written.shape(), tensor.shape());
            assertArrayEquals(bytes(written), bytes(tensor), name);
            assertEquals(0, tensor.segment().address() % tensor.dtype().bytes(), name + " is not aligned");
        });
        assertEquals(List.of("all.safetensors"), filesLeft());
    }

    @Test
    void writesViewsRowMajor() {
        Tensor base = random(DType.I32, 5, 7, 6);
        Map<String, Tensor> views = new LinkedHashMap<>();
        views.put("column", base.select(1, 3).select(1, 2));
        views.put("middle", base.slice(1, 2, 5));
        views.put("inner", base.slice(2, 1, 4));
        views.put("plane", base.select(2, 5));
        views.put("none", base.slice(2, 3, 3));
        views.put("wide", random(DType.F64, 700, 600).slice(1, 1, 600));
        Path file = dir.resolve("views.safetensors");
        SafetensorsWriter.write(file, views, Map.of());
        SafetensorsFile read = SafetensorsFile.open(file, arena);
        views.forEach((name, view) -> {
            assertArrayEquals(view.shape(), read.tensor(name).shape());
            assertArrayEquals(view.toDoubles(), read.tensor(name).toDoubles(), name);
        });
    }

    @Test
    void streamsInChunks() {
        Tensor big = random(DType.F32, 2000, 701);
        Tensor half = random(DType.BF16, 11, 3);
        var entries = List.of(new SafetensorsWriter.Entry("empty", DType.U8, 0), new SafetensorsWriter.Entry("half", DType.BF16, 11, 3),
                new SafetensorsWriter.Entry("big", DType.F32, 2000, 701), new SafetensorsWriter.Entry("end", DType.F64, 2, 0));
        Path file = dir.resolve("stream.safetensors");
        try (SafetensorsWriter writer = SafetensorsWriter.create(file, entries, Map.of())) {
            writer.write(half.slice(0, 0, 4));
            writer.write(half.slice(0, 4, 11));
            // More at once than is staged, then less.
            long step = 4_500_001;
            for (long at = 0; at < big.segment().byteSize(); at += step, step = 400_001) {
                writer.write(big.segment().asSlice(at, Math.min(step, big.segment().byteSize() - at)));
            }
            writer.commit();
        }
        SafetensorsFile read = SafetensorsFile.open(file, arena);
        assertArrayEquals(bytes(big), bytes(read.tensor("big")));
        assertArrayEquals(bytes(half), bytes(read.tensor("half")));
        assertEquals(0, read.tensor("end").elements());
    }

    @Test
    void leavesNothingWithoutCommit() throws IOException {
        Path file = dir.resolve("kept.safetensors");
        SafetensorsWriter.write(file, Map.of("a", random(DType.F32, 3)), Map.of());
        byte[] before = Files.readAllBytes(file);
        var entries = List.of(new SafetensorsWriter.Entry("b", DType.F32, 4, 2));
        try (SafetensorsWriter writer = SafetensorsWriter.create(file, entries, Map.of())) {
            writer.write(random(DType.F32, 3, 2));
            assertEquals(2, filesLeft().size());
            assertThrows(IllegalStateException.class, writer::commit);
        }
        assertEquals(List.of("kept.safetensors"), filesLeft());
        assertArrayEquals(before, Files.readAllBytes(file));
    }

    @Test
    void refusesWhatWasNotDeclared() throws IOException {
        var entries = List.of(new SafetensorsWriter.Entry("a", DType.F32, 4, 2));
        Path file = dir.resolve("refused.safetensors");
        try (SafetensorsWriter writer = SafetensorsWriter.create(file, entries, Map.of())) {
            assertThrows(IllegalArgumentException.class, () -> writer.write(random(DType.I32, 4, 2)));
            assertThrows(IllegalArgumentException.class, () -> writer.write(random(DType.F32, 2, 4)));
            assertThrows(IllegalArgumentException.class, () -> writer.write(random(DType.F32, 8)));
            assertThrows(IllegalArgumentException.class, () -> writer.write(random(DType.F32, 5, 2)));
            assertThrows(IllegalArgumentException.class, () -> writer.write(arena.allocate(33)));
            writer.write(random(DType.F32, 4, 2));
            assertThrows(IllegalArgumentException.class, () -> writer.write(arena.allocate(1)));
        }
        assertEquals(List.of(), filesLeft());
        var a = new SafetensorsWriter.Entry("a", DType.U8, 1);
        var reserved = new SafetensorsWriter.Entry("__metadata__", DType.U8, 1);
        var broken = new SafetensorsWriter.Entry("\ud800", DType.U8, 1);
        for (var bad : List.of(List.of(a, a), List.of(reserved), List.of(broken))) {
            assertThrows(IllegalArgumentException.class, () -> SafetensorsWriter.create(file, bad, Map.of()));
        }
        assertThrows(IllegalArgumentException.class, () -> new SafetensorsWriter.Entry("a", DType.U8, -1));
        assertEquals(List.of(), filesLeft());
    }

    @Test
    void saysWhereItCannotWrite() throws IOException {
        Path nowhere = dir.resolve("absent").resolve("a.safetensors");
        var error = assertThrows(UncheckedIOException.class, () -> SafetensorsWriter.write(nowhere, Map.of(), Map.of()));
        assertEquals("cannot write " + nowhere + ": no such file or directory", error.getMessage());
        Path directory = Files.createDirectory(dir.resolve("taken"));
        var taken = assertThrows(UncheckedIOException.class, () -> SafetensorsWriter.write(directory, Map.of(), Map.of()));
        assertTrue(taken.getMessage().contains("is a directory"), taken.getMessage());
        assertEquals(List.of("taken"), filesLeft());
    }
}

package obsprop.tensor.io;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTimeout;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.foreign.Arena;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class SafetensorsRealFilesTest {
    @TempDir
    private Path dir;

    @Test
    void readsAllGoldenFiles() throws IOException {
        List<Path> files;
        try (var walk = Files.walk(Path.of(System.getProperty("obsprop.golden")))) {
            files = walk.filter(file -> file.toString().endsWith(".safetensors")).toList();
        }
        long tensors = 0;
        try (Arena arena = Arena.ofConfined()) {
            for (Path path : files) {
                SafetensorsFile file = SafetensorsFile.open(path, arena);
                for (String name : file.names()) {
                    Tensor tensor = file.tensor(name);
                    for (double value : tensor.toDoubles()) {
                        assertTrue(Double.isFinite(value) && Math.abs(value) < 1e6, () -> path + " " + name + ": " + value);
                    }
                    tensors++;
                }
            }
        }
        assertTrue(files.size() >= 19 && tensors > 19, files.size() + " files");
        System.out.println("golden: " + files.size() + " files, " + tensors + " tensors");
    }

    /** 5 GiB without a byte on disk: opening must not depend on the size of the data, nor offsets on 32 bits. */
    @Test
    void opensFiveGigabytes() throws IOException {
        long bytes = 5L << 30;
        int columns = 1 << 20;
        int rows = (int) (bytes / columns / 4);
        byte[] start = Crafted.bytes("{\"w\":{\"dtype\":\"F32\",\"shape\":[" + rows + "," + columns + "],\"data_offsets\":[0," + bytes + "]}}", 0);
        Path path = dir.resolve("large.safetensors");
        try (RandomAccessFile file = new RandomAccessFile(path.toFile(), "rw")) {
            file.write(start);
            file.setLength(start.length + bytes);
            file.seek(start.length + bytes - 4);
            file.write(new byte[] {0, 0, (byte) 0x80, 0x3F});
        } catch (IOException e) {
            Assumptions.abort("no room for a sparse file of 5 GiB in " + dir + ": " + e.getMessage());
        }
        try (Arena arena = Arena.ofConfined()) {
            long begun = System.nanoTime();
            SafetensorsFile file = assertTimeout(Duration.ofSeconds(5), () -> SafetensorsFile.open(path, arena));
            System.out.printf("5 GiB opened in %.1f ms%n", (System.nanoTime() - begun) / 1e6);
            Tensor tensor = file.tensor("w");
            assertEquals(DType.F32, tensor.dtype());
            assertTrue(tensor.segment().isMapped());
            assertEquals(bytes, tensor.segment().byteSize());
            assertEquals(1.0, tensor.get(rows - 1, columns - 1));
            assertEquals(0.0, tensor.get(rows - 2, 0));
        }
    }

    @Test
    void headerMayBeLarge() throws IOException {
        int count = 20_000;
        StringBuilder header = new StringBuilder("{");
        for (int i = 0; i < count; i++) {
            header.append(i == 0 ? "" : ",").append("\"tensor.").append(i).append("\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[")
                    .append(i).append(',').append(i + 1).append("]}");
        }
        Path path = Files.write(dir.resolve("many.safetensors"),
                Crafted.bytes(header.append('}').toString().getBytes(StandardCharsets.UTF_8), count));
        try (Arena arena = Arena.ofConfined()) {
            SafetensorsFile file = SafetensorsFile.open(path, arena);
            assertEquals(count, file.names().size());
            assertEquals(19_999 & 0xFF, file.tensor("tensor.19999").get(0));
        }
    }
}

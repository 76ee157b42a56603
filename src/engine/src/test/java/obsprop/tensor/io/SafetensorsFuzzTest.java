package obsprop.tensor.io;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import obsprop.tensor.Tensor;

/** Damaged files: each is refused with a {@link FormatException}, or still valid in every respect. */
class SafetensorsFuzzTest {
    private static final byte[] VALID = Crafted.bytes("""
            {"__metadata__":{"format":"pt"},"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},\
            "b":{"dtype":"BF16","shape":[3],"data_offsets":[24,30]},"s":{"dtype":"U8","shape":[],"data_offsets":[30,31]},\
            "e":{"dtype":"I64","shape":[0,5],"data_offsets":[31,31]}}  \s""", 31);
    private static final byte[] TELLING = "{}[]\",:0123456789-.eE\\ntfu \0\u007f".getBytes(StandardCharsets.US_ASCII);

    @Property(tries = 1500)
    void damagedFileIsRefusedOrValid(@ForAll long seed, @ForAll @IntRange(min = 1, max = 4) int mutations) throws IOException {
        Random random = new Random(seed);
        byte[] bytes = VALID;
        for (int i = 0; i < mutations; i++) {
            bytes = mutate(bytes, random);
        }
        Path dir = Files.createTempDirectory("fuzz");
        Path file = Crafted.file(dir, bytes);
        try (Arena arena = Arena.ofConfined()) {
            requireConsistent(SafetensorsFile.open(file, arena), dir.resolve("copy"), arena);
        } catch (FormatException e) {
            assertEquals(0, e.getMessage().chars().filter(c -> c < ' ').count(), e.getMessage());
        } finally {
            Files.deleteIfExists(dir.resolve("copy"));
            Files.delete(file);
            Files.delete(dir);
        }
    }

    private static byte[] mutate(byte[] bytes, Random random) {
        int at = random.nextInt(bytes.length);
        byte[] changed = bytes.clone();
        switch (random.nextInt(5)) {
            case 0 -> changed[at] ^= (byte) (1 << random.nextInt(8));
            case 1 -> changed[at] = TELLING[random.nextInt(TELLING.length)];
            case 2 -> changed = Arrays.copyOf(bytes, Math.max(1, at));
            case 3 -> System.arraycopy(bytes, random.nextInt(at + 1), changed, at, Math.min(8, bytes.length - at));
            default -> {
                changed = Arrays.copyOf(bytes, bytes.length + 1);
                System.arraycopy(bytes, at, changed, at + 1, bytes.length - at);
            }
        }
        return changed;
    }

    /** What was accepted can be copied, and the copy holds the same. */
    private static void requireConsistent(SafetensorsFile file, Path copy, Arena arena) {
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        long bytes = 0;
        for (String name : file.names()) {
            Tensor tensor = file.tensor(name);
            tensors.put(name, tensor);
            bytes += tensor.elements() * tensor.dtype().bytes();
        }
        assertEquals(file.dataBytes(), bytes);
        SafetensorsWriter.write(copy, tensors, file.metadata());
        SafetensorsFile again = SafetensorsFile.open(copy, arena);
        assertEquals(file.metadata(), again.metadata());
        tensors.forEach((name, tensor) -> {
            assertEquals(tensor.toString(), again.tensor(name).toString());
            assertEquals(-1, tensor.segment().mismatch(again.tensor(name).segment()));
        });
    }
}

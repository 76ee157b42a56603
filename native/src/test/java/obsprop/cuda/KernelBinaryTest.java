package obsprop.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The committed fat binary is what native/build-kernels.sh makes of kernels.cu. */
class KernelBinaryTest {
    private static final String NVCC = "V13.0.88";
    private final Path folder = Path.of(System.getProperty("obsprop.root")).resolve("native");

    @Test
    void sourceIsTheOneThatWasCompiled() throws IOException, NoSuchAlgorithmException {
        byte[] source = Files.readAllBytes(folder.resolve("src/main/cuda/kernels.cu"));
        String hash = HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(source));
        String recorded = Files.readString(folder.resolve("src/main/cuda/kernels.cu.sha256")).split(" ")[0];
        assertEquals(recorded, hash, "kernels.cu changed: run native/build-kernels.sh");
    }

    @Test
    void compilingAgainGivesTheSameBytes(@TempDir Path temporary) throws IOException, InterruptedException {
        assumeTrue(nvccVersion().contains(NVCC), "nvcc " + NVCC + " is not here");
        Path again = temporary.resolve("kernels.fatbin");
        String script = folder.resolve("build-kernels.sh").toString();
        assertEquals(0, new ProcessBuilder("sh", script, again.toString()).inheritIO().start().waitFor());
        Path committed = folder.resolve("src/main/resources/obsprop/cuda/kernels.fatbin");
        assertArrayEquals(Files.readAllBytes(committed), Files.readAllBytes(again), "run native/build-kernels.sh");
    }

    private static String nvccVersion() {
        try {
            Process process = new ProcessBuilder("nvcc", "--version").redirectErrorStream(true).start();
            return new String(process.getInputStream().readAllBytes());
        } catch (IOException e) {
            return "";
        }
    }
}

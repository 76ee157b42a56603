package obsprop.cli.options;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import obsprop.cli.UsageException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class OutputFileTest {
    @TempDir
    private Path folder;

    @Test
    void newAndOldFilesMayBeWritten() throws IOException {
        Path file = folder.resolve("out.safetensors");
        assertEquals(file, OutputFile.checked(file, "--out"));
        Files.createFile(file);
        assertEquals(file, OutputFile.checked(file, "--out"));
    }

    @Test
    void foldersAreRefused() {
        refused(folder);
        refused(folder.resolve("missing/out"));
    }

    @Test
    void aDeviceIsNotReplaced() {
        Path device = Path.of("/dev/null");
        assumeTrue(Files.exists(device), "no /dev/null on this system");
        refused(device);
    }

    @Test
    void aReadOnlyFileIsNotReplaced() throws IOException {
        Path file = Files.createFile(folder.resolve("kept"));
        assertTrue(file.toFile().setReadOnly());
        assumeTrue(!Files.isWritable(file), "this user may write to every file");
        refused(file);
    }

    private static void refused(Path file) {
        UsageException refused = assertThrows(UsageException.class, () -> OutputFile.checked(file, "--out"));
        assertTrue(refused.getMessage().startsWith("--out: "), refused.getMessage());
    }
}

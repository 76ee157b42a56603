package obsprop.cli.options;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import obsprop.cli.UsageException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class OutputFileTest {
    @TempDir
    private Path folder;

    @Test
    void newAndOldFilesMayBeWritten() throws IOException {
        Path file = folder.resolve("out.safetensors");
        assertEquals(file, OutputFile.checked(file, "--out", Optional.empty()));
        Files.createFile(file);
        assertEquals(file, OutputFile.checked(file, "--out", Optional.empty()));
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

    @Test
    void aLinkIsNotReplaced() throws IOException {
        refused(Files.createSymbolicLink(folder.resolve("link"), Files.createFile(folder.resolve("target"))));
        refused(Files.createSymbolicLink(folder.resolve("dangling"), folder.resolve("missing")));
    }

    @Test
    void whatTheModelIsReadFromIsNotReplaced() throws IOException {
        Path model = Files.createDirectory(folder.resolve("model"));
        Files.writeString(model.resolve("model.safetensors.index.json"), "{\"weight_map\": {\"a\": \"part.safetensors\"}}");
        for (String name : List.of("config.json", "tokenizer.json", "model.safetensors", "part.safetensors")) {
            Path file = Files.createFile(model.resolve(name));
            refused(file, Optional.of(model));
            refused(folder.resolve("model/../model").resolve(name), Optional.of(model));
        }
        Path result = Files.createFile(model.resolve("result.safetensors"));
        assertEquals(result, OutputFile.checked(result, "--out", Optional.of(model)));
    }

    private static void refused(Path file) {
        refused(file, Optional.empty());
    }

    private static void refused(Path file, Optional<Path> model) {
        UsageException refused = assertThrows(UsageException.class, () -> OutputFile.checked(file, "--out", model));
        assertTrue(refused.getMessage().startsWith("--out: "), refused.getMessage());
    }
}

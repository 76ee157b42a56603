package obsprop.model.family;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileAttribute;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;

/**
 * The small trained model that comes with the library, unpacked into a temporary directory as a Hugging Face model
 * directory. Its training text, and so what there is to find in it, is known: see {@code statistics.json} there. Closing
 * removes the directory; a model that was opened from it is to be closed before.
 */
public final class DemoModel implements AutoCloseable {
    private static final String RESOURCES = "/obsprop/demo/";
    private static final List<String> FILES = List.of(
            "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "statistics.json",
            "evaluation.json", "training-log.jsonl");

    private static final FileTime UNPACKED = FileTime.fromMillis(0);

    private final Path directory;

    private DemoModel(Path directory) {
        this.directory = directory;
    }

    /** Unpacks the model. */
    public static DemoModel unpack() {
        try {
            DemoModel demo = new DemoModel(Files.createDirectory(temporaryDirectory().resolve("demo")));
            try {
                for (String file : FILES) {
                    demo.copy(file);
                }
                return demo;
            } catch (IOException e) {
                demo.close(); // the disk may be full
                throw e;
            }
        } catch (IOException e) {
            throw new UncheckedIOException("the demo model cannot be unpacked into the temporary directory: " + e.getMessage(), e);
        }
    }

    /** Files.createTempDirectory sets up secure random numbers, for longer than all else here takes; a free name will do. */
    private static Path temporaryDirectory() throws IOException {
        Path parent = Path.of(System.getProperty("java.io.tmpdir"));
        boolean posix = parent.getFileSystem().supportedFileAttributeViews().contains("posix");
        FileAttribute<?>[] owner = posix
                ? new FileAttribute<?>[] {PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------"))}
                : new FileAttribute<?>[0];
        for (long number = System.nanoTime();; number++) {
            try {
                return Files.createDirectory(parent.resolve("obsprop-" + Long.toUnsignedString(number, Character.MAX_RADIX)), owner);
            } catch (FileAlreadyExistsException e) {
                // Taken: the next one.
            }
        }
    }

    private void copy(String file) throws IOException {
        try (InputStream in = DemoModel.class.getResourceAsStream(RESOURCES + file)) {
            if (in == null) {
                close();
                throw new IllegalStateException("the library lacks its resource " + RESOURCES + file);
            }
            Path to = directory.resolve(file);
            Files.copy(in, to);
            Files.setLastModifiedTime(to, UNPACKED); // always the same files
        }
    }

    /** The unpacked model directory, called {@code demo}. */
    public Path directory() {
        return directory;
    }

    @Override
    public void close() {
        try {
            for (String file : FILES) {
                Files.deleteIfExists(directory.resolve(file));
            }
            Files.deleteIfExists(directory);
            Files.deleteIfExists(directory.getParent());
        } catch (IOException e) {
            throw new UncheckedIOException(directory + ": cannot be removed: " + e.getMessage(), e);
        }
    }
}

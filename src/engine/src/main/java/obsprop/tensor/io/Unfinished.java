package obsprop.tensor.io;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.CopyOption;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Stream;

/**
 * A file or directory while it is written: a temporary sibling of the target, which {@link #moveTo} puts in its place.
 * What was not moved is deleted by {@link #close}, or when the JVM ends first, as by a signal.
 */
public final class Unfinished implements AutoCloseable {
    private static final CopyOption[] IN_PLACE = {StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING};

    private final Path path;
    private final Thread removal;

    private Unfinished(Path path) {
        this.path = path;
        removal = new Thread("remove-unfinished") {
            @Override
            public void run() {
                try {
                    delete();
                } catch (IOException e) {
                    // The JVM is ending: nobody is left to hear of it.
                }
            }
        };
    }

    /** A name beside {@code target} that nobody else uses. Nothing is there yet. */
    public static Unfinished beside(Path target) {
        Path path = target.toAbsolutePath().resolveSibling("." + target.getFileName() + "."
                + ProcessHandle.current().pid() + "-" + Long.toHexString(System.nanoTime()) + ".tmp");
        Unfinished unfinished = new Unfinished(path);
        try {
            Runtime.getRuntime().addShutdownHook(unfinished.removal);
        } catch (IllegalStateException e) {
            // The JVM is ending already; what is written even then, say by a hook of an embedder, is closed by its writer.
        }
        return unfinished;
    }

    /** Where to write. */
    public Path path() {
        return path;
    }

    /** Puts what was written in place of {@code target}, atomically. */
    public void moveTo(Path target) throws IOException {
        Files.move(path, target, IN_PLACE);
    }

    /** Deletes what was not moved. */
    @Override
    public void close() throws IOException {
        delete();
        try {
            Runtime.getRuntime().removeShutdownHook(removal);
        } catch (IllegalStateException e) {
            // The JVM is ending, and the hook finds nothing to delete.
        }
    }

    /** Again where somebody still wrote into it meanwhile; once it is gone, nobody can. */
    private void delete() throws IOException {
        while (Files.exists(path)) {
            try (Stream<Path> tree = Files.walk(path)) {
                List<Path> deepestFirst = tree.sorted(Comparator.reverseOrder()).toList();
                for (Path each : deepestFirst) {
                    Files.deleteIfExists(each);
                }
            } catch (DirectoryNotEmptyException | NoSuchFileException e) {
                // Changed while it was listed.
            } catch (UncheckedIOException e) {
                if (!(e.getCause() instanceof NoSuchFileException)) {
                    throw e.getCause();
                }
            }
        }
    }
}

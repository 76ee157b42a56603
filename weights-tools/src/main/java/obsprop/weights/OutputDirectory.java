package obsprop.weights;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import obsprop.tensor.io.FormatException;
import obsprop.tensor.io.Unfinished;

/**
 * A directory that appears whole or not at all: everything is written into a temporary sibling, which {@link #commit}
 * renames; {@link #close} without commit deletes it, as does the end of the JVM.
 */
public final class OutputDirectory implements AutoCloseable {
    private final Path target;
    private final Unfinished temporary;

    private OutputDirectory(Path target, Unfinished temporary) {
        this.target = target;
        this.temporary = temporary;
    }

    /**
     * Starts a directory.
     *
     * @throws FormatException if {@code target} exists and is not an empty directory, or its parent cannot be written
     */
    public static OutputDirectory create(Path target) {
        Path absolute = target.toAbsolutePath().normalize();
        try {
            if (Files.exists(absolute) && !isEmptyDirectory(absolute)) {
                throw FormatException.in(target, "already exists: choose another --out or remove it first");
            }
            Path parent = absolute.getParent();
            if (!Files.isDirectory(parent)) {
                throw FormatException.in(parent, "no such directory: create it first");
            }
            return new OutputDirectory(absolute, begun(absolute));
        } catch (IOException e) {
            throw FormatException.unreadable(target, e);
        }
    }

    private static Unfinished begun(Path target) throws IOException {
        Unfinished temporary = Unfinished.beside(target);
        try {
            Files.createDirectory(temporary.path());
            return temporary;
        } catch (IOException e) {
            temporary.close();
            throw e;
        }
    }

    private static boolean isEmptyDirectory(Path path) throws IOException {
        if (!Files.isDirectory(path)) {
            return false;
        }
        try (Stream<Path> children = Files.list(path)) {
            return children.findAny().isEmpty();
        }
    }

    /** Where {@code name} is to be written. */
    public Path file(String name) {
        return temporary.path().resolve(name);
    }

    /** Writes a text file. */
    public void write(String name, String text) {
        try {
            Files.writeString(file(name), text);
        } catch (IOException e) {
            throw new UncheckedIOException(name + ": cannot be written: " + e.getMessage(), e);
        }
    }

    /** Puts the directory in place. */
    public void commit() {
        try {
            temporary.moveTo(target);
        } catch (DirectoryNotEmptyException | FileAlreadyExistsException e) {
            throw new FormatException(target + ": was created by someone else meanwhile", e);
        } catch (IOException e) {
            throw new UncheckedIOException(target + ": cannot be renamed into place: " + e.getMessage(), e);
        }
    }

    @Override
    public void close() {
        try {
            temporary.close();
        } catch (IOException e) {
            throw new UncheckedIOException(target + ": what was begun cannot be deleted: " + e.getMessage(), e);
        }
    }
}

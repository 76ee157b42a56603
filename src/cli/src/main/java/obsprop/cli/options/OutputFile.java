package obsprop.cli.options;

import java.nio.file.Files;
import java.nio.file.Path;
import obsprop.cli.UsageException;

/** Checks of a file that is going to be written, before anything is computed. */
public final class OutputFile {
    private OutputFile() {
    }

    /**
     * {@code file}, if it can be written.
     *
     * @throws UsageException where its folder does not exist or may not be written, or it is a folder itself, read-only, a
     *         device or a pipe: a finished file takes the place of the old one, and would end a device
     */
    public static Path checked(Path file, String option) {
        Path folder = file.toAbsolutePath().getParent();
        if (folder == null || Files.isDirectory(file)) {
            throw new UsageException(option + ": " + file + " is a folder: name a file");
        }
        if (Files.exists(file) && !(Files.isRegularFile(file) && Files.isWritable(file))) {
            throw new UsageException(option + ": " + file
                    + " may not be replaced (it is read-only, a device or a pipe): name another file");
        }
        if (!Files.isDirectory(folder)) {
            throw new UsageException(option + ": the folder " + folder + " does not exist: create it first");
        }
        if (!Files.isWritable(folder)) {
            throw new UsageException(option + ": the folder " + folder + " may not be written: choose another");
        }
        return file;
    }
}

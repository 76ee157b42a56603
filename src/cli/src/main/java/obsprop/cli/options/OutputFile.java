package obsprop.cli.options;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Stream;
import obsprop.cli.UsageException;

/** Checks of a file that is going to be written, before anything is computed. */
final class OutputFile {
    /** What a model is read from, beside the shards that an index names. */
    private static final Set<String> FILES =
            Set.of("config.json", "tokenizer.json", "model.safetensors", "model.safetensors.index.json");

    private OutputFile() {
    }

    /**
     * {@code file}, if it can be written.
     *
     * @param model the directory of the model that is read, if one is named
     * @throws UsageException where its folder does not exist or may not be written, or it is a folder itself, read-only, a
     *         link, a device or a pipe: a finished file takes the place of the old one, and would end a link or a device;
     *         or where the model is read from it
     */
    static Path checked(Path file, String option, Optional<Path> model) {
        Path folder = file.toAbsolutePath().getParent();
        if (folder == null || Files.isDirectory(file)) {
            throw new UsageException(option + ": " + file + " is a folder: name a file");
        }
        if (Files.exists(file) && !(Files.isRegularFile(file) && Files.isWritable(file))) {
            throw new UsageException(option + ": " + file
                    + " may not be replaced (it is read-only, a device or a pipe): name another file");
        }
        if (Files.isSymbolicLink(file)) {
            throw new UsageException(option + ": " + file + " is a symbolic link, which the file would replace: name its target");
        }
        if (!Files.isDirectory(folder)) {
            throw new UsageException(option + ": the folder " + folder + " does not exist: create it first");
        }
        if (!Files.isWritable(folder)) {
            throw new UsageException(option + ": the folder " + folder + " may not be written: choose another");
        }
        if (Files.exists(file) && model.filter(directory -> isRead(file, directory)).isPresent()) {
            throw new UsageException(option + ": the model is read from " + file + ": name another file");
        }
        return file;
    }

    private static boolean isRead(Path file, Path model) {
        try (Stream<Path> files = Files.list(model)) {
            Path index = model.resolve("model.safetensors.index.json");
            String shards = Files.exists(index) ? Files.readString(index) : "";
            for (Path each : files.toList()) {
                String name = each.getFileName().toString();
                if ((FILES.contains(name) || shards.contains('"' + name + '"')) && Files.isSameFile(file, each)) {
                    return true;
                }
            }
            return false;
        } catch (IOException e) {
            // Whatever is wrong with the model is told where it is opened.
            return false;
        }
    }
}

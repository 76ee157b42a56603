package obsprop.weights.checkpoint;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.SequencedMap;
import java.util.SequencedSet;
import obsprop.model.io.Checkpoint;
import obsprop.tensor.Tensor;
import obsprop.tensor.io.FormatException;
import obsprop.tensor.io.SafetensorsFile;

/** The safetensors files that a path stands for. */
public final class ModelFiles {
    private ModelFiles() {}

    /**
     * The file itself, or the weight files of a model directory after checking that they fit together.
     *
     * @throws FormatException if there are none, or they are invalid or contradict each other
     */
    public static List<SafetensorsFile> open(Path fileOrDir, Arena arena) {
        if (!Files.isDirectory(fileOrDir)) {
            return List.of(SafetensorsFile.open(fileOrDir, arena));
        }
        SequencedSet<String> expected = Checkpoint.open(fileOrDir, arena).names();
        boolean single = Files.exists(fileOrDir.resolve("model.safetensors"));
        try (var paths = Files.list(fileOrDir)) {
            return paths.filter(p -> single
                            ? p.getFileName().toString().equals("model.safetensors")
                            : p.getFileName().toString().endsWith(".safetensors"))
                    .sorted()
                    .map(p -> SafetensorsFile.open(p, arena))
                    .filter(f -> expected.containsAll(f.names()))
                    .toList();
        } catch (IOException e) {
            throw FormatException.unreadable(fileOrDir, e);
        }
    }

    /** All tensors of {@code files}, by name. */
    public static SequencedMap<String, Tensor> tensors(List<SafetensorsFile> files) {
        SequencedMap<String, Tensor> tensors = new LinkedHashMap<>();
        for (SafetensorsFile file : files) {
            file.names().forEach(name -> tensors.put(name, file.tensor(name)));
        }
        return tensors;
    }
}

package obsprop.weights.checkpoint;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;
import obsprop.tensor.io.SafetensorsWriter.Entry;
import obsprop.weights.OutputDirectory;

/**
 * Rewrites a checkpoint.
 *
 * @param dtype the new type of all real tensors; empty to keep each one's own
 * @param maxShardBytes a shard is closed before it grows past this
 */
public record Conversion(Optional<DType> dtype, long maxShardBytes, Prefix prefix) {
    private static final int CHUNK = 1 << 18;

    /** What to do with the family's prefix, for instance {@code transformer.}. */
    public enum Prefix {
        KEEP,
        /** As a model with a head is saved: the base model's tensors get the prefix where they lack it. */
        ADD,
        /** As a base model is saved: the prefix goes, tensors of the head stay as they are. */
        REMOVE;

        String rename(String name, String prefix) {
            return switch (this) {
                case KEEP -> name;
                case REMOVE -> name.startsWith(prefix) ? name.substring(prefix.length()) : name;
                case ADD -> name.startsWith(prefix) || isHead(name) ? name : prefix + name;
            };
        }

        private static boolean isHead(String name) {
            return name.startsWith("lm_head.") || name.startsWith("embed_out.");
        }
    }

    /** Writes {@code tensors} under their new names and types, and the configuration. */
    public void write(OutputDirectory out, SequencedMap<String, Tensor> tensors, ConfigJson config, String familyPrefix) {
        List<Entry> entries = new ArrayList<>();
        tensors.forEach((name, tensor) ->
                entries.add(new Entry(prefix.rename(name, familyPrefix), type(tensor), tensor.shape())));
        try (Arena arena = Arena.ofConfined();
                CheckpointWriter writer = new CheckpointWriter(out, entries, maxShardBytes)) {
            MemorySegment chunk = arena.allocate(CHUNK * 8L, 64);
            double[] values = new double[CHUNK];
            tensors.forEach((name, tensor) -> {
                if (type(tensor) == tensor.dtype()) {
                    writer.write(tensor.segment().asSlice(0, tensor.elements() * tensor.dtype().bytes()));
                } else {
                    convert(name, tensor, writer, chunk, values);
                }
            });
            writer.finish();
        }
        out.write("config.json", dtype.map(config::setType).orElse(config).text());
    }

    private DType type(Tensor tensor) {
        return tensor.dtype().isReal() ? dtype.orElse(tensor.dtype()) : tensor.dtype();
    }

    private void convert(String name, Tensor tensor, CheckpointWriter writer, MemorySegment chunk, double[] values) {
        DType to = type(tensor);
        for (long first = 0; first < tensor.elements(); first += CHUNK) {
            int count = (int) Math.min(CHUNK, tensor.elements() - first);
            RealCodec.read(tensor.segment(), tensor.dtype(), first, values, count);
            RealCodec.write(values, count, to, chunk, name);
            writer.write(chunk.asSlice(0, (long) count * to.bytes()));
        }
    }

    /** Copies what else lies in a model directory and does not depend on the weights: tokenizer, licence, and so on. */
    public static void copyCompanions(Path from, OutputDirectory out) {
        try (var files = Files.list(from)) {
            for (Path file : files.filter(Files::isRegularFile).sorted().toList()) {
                String name = file.getFileName().toString();
                boolean weights = name.endsWith(".safetensors") || name.endsWith(".safetensors.index.json")
                        || name.endsWith(".bin") || name.equals("config.json");
                if (!weights) {
                    Files.copy(file, out.file(name));
                }
            }
        } catch (IOException e) {
            throw new UncheckedIOException(from + ": cannot be copied: " + e.getMessage(), e);
        }
    }
}

package obsprop.weights.checkpoint;

import java.lang.foreign.MemorySegment;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import obsprop.tensor.io.SafetensorsWriter;
import obsprop.tensor.io.SafetensorsWriter.Entry;
import obsprop.weights.JsonText;
import obsprop.weights.OutputDirectory;

/** Writes the weights of a model directory, in one file or in shards with an index, in bounded memory. */
final class CheckpointWriter implements AutoCloseable {
    private static final Map<String, String> METADATA = Map.of("format", "pt");

    private final OutputDirectory out;
    private final List<List<Entry>> shards;
    private SafetensorsWriter writer;
    private int shard;
    private int entry;
    private long received;

    /** @param maxShardBytes a shard is closed before it grows past this, unless one tensor alone does */
    CheckpointWriter(OutputDirectory out, List<Entry> entries, long maxShardBytes) {
        this.out = out;
        this.shards = split(entries, maxShardBytes);
        this.writer = open(0);
    }

    private static List<List<Entry>> split(List<Entry> entries, long maxBytes) {
        List<List<Entry>> shards = new ArrayList<>(List.of(new ArrayList<>()));
        long bytes = 0;
        for (Entry next : entries) {
            if (bytes > 0 && bytes + next.bytes() > maxBytes) {
                shards.add(new ArrayList<>());
                bytes = 0;
            }
            shards.getLast().add(next);
            bytes += next.bytes();
        }
        return shards;
    }

    private String name(int number) {
        return shards.size() == 1
                ? "model.safetensors"
                : String.format(Locale.ROOT, "model-%05d-of-%05d.safetensors", number + 1, shards.size());
    }

    private SafetensorsWriter open(int number) {
        Path file = out.file(name(number));
        return SafetensorsWriter.create(file, shards.get(number), METADATA);
    }

    /** Appends to the current tensor, in the order of the entries. */
    void write(MemorySegment chunk) {
        writer.write(chunk);
        received += chunk.byteSize();
        if (received == shards.get(shard).get(entry).bytes()) {
            received = 0;
            if (++entry == shards.get(shard).size() && shard < shards.size() - 1) {
                writer.commit();
                writer.close();
                shard++;
                entry = 0;
                writer = open(shard);
            }
        }
    }

    /** Completes the last shard and writes the index. */
    void finish() {
        writer.commit();
        if (shards.size() > 1) {
            Map<String, Object> weightMap = new LinkedHashMap<>();
            long total = 0;
            for (int s = 0; s < shards.size(); s++) {
                for (Entry e : shards.get(s)) {
                    weightMap.put(e.name(), name(s));
                    total += e.bytes();
                }
            }
            out.write("model.safetensors.index.json", JsonText.pretty(
                    JsonText.object("metadata", Map.of("total_size", total), "weight_map", weightMap)));
        }
    }

    @Override
    public void close() {
        writer.close();
    }
}

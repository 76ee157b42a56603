package obsprop.tensor.io;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SequencedMap;
import java.util.SequencedSet;
import obsprop.tensor.DType;
import obsprop.tensor.Place;
import obsprop.tensor.Tensor;

/**
 * A safetensors file, mapped and completely validated when opened; its tensors are views of the mapping, valid as long
 * as the arena. Data may lie at odd addresses.
 */
public final class SafetensorsFile {
    /** What may be done with the tensors. */
    public enum Access {
        /** Writes fail. */
        READ_ONLY(FileChannel.MapMode.READ_ONLY),
        /** Writes change this mapping's own copy of a page, never the file: for training. */
        PRIVATE_COPY(FileChannel.MapMode.PRIVATE);

        private final FileChannel.MapMode mode;

        Access(FileChannel.MapMode mode) {
            this.mode = mode;
        }
    }

    private final Path path;
    private final SequencedMap<String, Tensor> tensors;
    private final Map<String, String> metadata;
    private final long dataBytes;

    private SafetensorsFile(Path path, SequencedMap<String, Tensor> tensors, Map<String, String> metadata, long dataBytes) {
        this.path = path;
        this.tensors = Collections.unmodifiableSequencedMap(tensors);
        this.metadata = Collections.unmodifiableMap(metadata);
        this.dataBytes = dataBytes;
    }

    /** Maps {@code file} read only; see {@link #open(Path, Arena, Access)}. */
    public static SafetensorsFile open(Path file, Arena arena) {
        return open(file, arena, Access.READ_ONLY);
    }

    /**
     * Maps and validates {@code file}; the time does not depend on the size of the data.
     *
     * @throws FormatException if it cannot be read or violates the format in any way
     */
    public static SafetensorsFile open(Path file, Arena arena, Access access) {
        if (Files.isDirectory(file)) {
            throw FormatException.in(file, "is a directory, expected a safetensors file");
        }
        MemorySegment mapping;
        try (FileChannel channel = open(file, access)) {
            mapping = channel.map(access.mode, 0, channel.size(), arena);
        } catch (IOException e) {
            throw FormatException.unreadable(file, e);
        }
        SafetensorsHeader header = SafetensorsHeader.read(mapping, file);
        MemorySegment data = mapping.asSlice(header.length());
        SequencedMap<String, Tensor> tensors = new LinkedHashMap<>();
        header.tensors().forEach((name, entry) -> tensors.put(name, Tensor.of(
                data.asSlice(entry.begin(), entry.end() - entry.begin()), entry.dtype(), Place.HOST, entry.shape())));
        return new SafetensorsFile(file, tensors, header.metadata(), data.byteSize());
    }

    /** A private mapping asks for a channel that could write, although nothing ever is. */
    private static FileChannel open(Path file, Access access) throws IOException {
        return access == Access.READ_ONLY
                ? FileChannel.open(file)
                : FileChannel.open(file, StandardOpenOption.READ, StandardOpenOption.WRITE);
    }

    public Path path() {
        return path;
    }

    /** Names in the order of the header. */
    public SequencedSet<String> names() {
        return tensors.sequencedKeySet();
    }

    public boolean has(String name) {
        return tensors.containsKey(name);
    }

    /**
     * A read-only view of the tensor's data.
     *
     * @throws FormatException if there is none of this name
     */
    public Tensor tensor(String name) {
        Tensor tensor = tensors.get(name);
        if (tensor == null) {
            throw FormatException.in(path, "has no tensor " + FormatException.quote(name));
        }
        return tensor;
    }

    public DType dtype(String name) {
        return tensor(name).dtype();
    }

    /** The strings under {@code __metadata__}; empty if there are none. */
    public Map<String, String> metadata() {
        return metadata;
    }

    /** Size of the data of all tensors together, in bytes. */
    public long dataBytes() {
        return dataBytes;
    }
}

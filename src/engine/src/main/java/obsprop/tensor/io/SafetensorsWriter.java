package obsprop.tensor.io;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import obsprop.tensor.DType;
import obsprop.tensor.Place;
import obsprop.tensor.Tensor;

/**
 * Writes a safetensors file in bounded memory: declare all tensors, append their data in the same order, whole or in
 * chunks, then {@link #commit}. Until then everything lies in a temporary file beside the target; {@link #close}
 * without commit deletes it, as does the end of the JVM, so the target is always absent, old or complete.
 *
 * <p>Within the file wider types come first, so that every tensor is aligned to its type; the header keeps the
 * declared order. Failures of the file system surface as {@link UncheckedIOException} with a one-line message.
 */
public final class SafetensorsWriter implements AutoCloseable {
    /** Written at once, at multiples of itself: page caches keep what arrives so in huge pages, which are read faster once mapped. */
    private static final int STAGING_BYTES = 1 << 21;

    /**
     * A tensor to be written.
     *
     * @param shape sizes, not negative; empty for a scalar
     */
    public record Entry(String name, DType dtype, List<Integer> shape) {
        public Entry {
            shape = List.copyOf(shape);
            if (shape.stream().anyMatch(size -> size < 0)) {
                throw new IllegalArgumentException("negative size in shape " + shape + " of " + name);
            }
        }

        public Entry(String name, DType dtype, int... shape) {
            this(name, dtype, Arrays.stream(shape).boxed().toList());
        }

        /** Size of the data. */
        public long bytes() {
            return shape.stream().mapToLong(Integer::longValue).reduce(dtype.bytes(), Math::multiplyExact);
        }

        /** Whether {@code chunk} is all of this tensor, or some of its rows (sub-tensors along axis 0). */
        private boolean admits(Tensor chunk) {
            List<Integer> other = Arrays.stream(chunk.shape()).boxed().toList();
            return chunk.dtype() == dtype && other.size() == shape.size()
                    && (other.isEmpty() || other.subList(1, other.size()).equals(shape.subList(1, shape.size())));
        }
    }

    private final Path target;
    private final Unfinished temporary;
    private final List<Entry> entries;
    /** Where each entry's data begins in the file. */
    private final long[] positions;
    private final FileChannel channel;
    private final MemorySegment staging = Arena.ofAuto().allocate(STAGING_BYTES);
    private long staged;
    /** Where in the file the staged bytes belong. */
    private long stagedAt;
    private int current;
    /** Bytes of the current entry received so far, the staged ones included. */
    private long received;

    private SafetensorsWriter(Path target, SafetensorsLayout layout) throws IOException {
        this.target = target;
        this.entries = layout.entries();
        this.positions = layout.positions();
        if (Files.isDirectory(target)) {
            throw new FileSystemException(target.toString(), null, "is a directory");
        }
        this.temporary = Unfinished.beside(target);
        try {
            this.channel = FileChannel.open(temporary.path(), StandardOpenOption.WRITE, StandardOpenOption.CREATE_NEW);
        } catch (IOException e) {
            temporary.close();
            throw e;
        }
        try {
            stage(MemorySegment.ofArray(layout.start()));
        } catch (IOException e) {
            close();
            throw e;
        }
    }

    /** Writes {@code tensors} in the order of the map; views that are not contiguous are written row-major. */
    public static void write(Path file, Map<String, Tensor> tensors, Map<String, String> metadata) {
        List<Entry> entries = tensors.entrySet().stream()
                .map(e -> new Entry(e.getKey(), e.getValue().dtype(), e.getValue().shape()))
                .toList();
        try (SafetensorsWriter writer = create(file, entries, metadata)) {
            tensors.values().forEach(writer::write);
            writer.commit();
        }
    }

    /**
     * Starts a file.
     *
     * @param entries all tensors, in the order in which their data will be appended
     * @param metadata strings for {@code __metadata__}; none is written if empty
     * @throws IllegalArgumentException if a name occurs twice, is reserved, or is not valid Unicode
     */
    public static SafetensorsWriter create(Path file, List<Entry> entries, Map<String, String> metadata) {
        SafetensorsLayout layout = SafetensorsLayout.of(List.copyOf(entries), metadata);
        try {
            return new SafetensorsWriter(file, layout);
        } catch (IOException e) {
            throw failure(file, e);
        }
    }

    /**
     * Appends all of the current tensor, or its next rows; moves on to the next tensor when it is complete.
     *
     * @throws IllegalArgumentException if the type or shape is not what was declared, or more than is left
     */
    public void write(Tensor chunk) {
        long bytes = Math.multiplyExact(chunk.elements(), (long) chunk.dtype().bytes());
        Entry entry = expect(bytes);
        if (!entry.admits(chunk) || chunk.place() != Place.HOST) {
            throw new IllegalArgumentException(
                    chunk + " given for tensor " + entry.name() + ", declared as " + entry.dtype() + entry.shape() + " on the host");
        }
        try {
            append(chunk);
            advance();
        } catch (IOException e) {
            throw failure(target, e);
        }
    }

    /**
     * Appends bytes to the current tensor, little-endian elements in row-major order; moves on to the next tensor when
     * it is complete.
     *
     * @throws IllegalArgumentException if it is more than is left of the current tensor
     */
    public void write(MemorySegment chunk) {
        expect(chunk.byteSize());
        try {
            append(chunk);
            advance();
        } catch (IOException e) {
            throw failure(target, e);
        }
    }

    /** The entry that the next {@code bytes} belong to, if they fit it. Empty tensors need no data and are passed over. */
    private Entry expect(long bytes) {
        while (bytes > 0 && current < entries.size() && entries.get(current).bytes() == 0) {
            current++;
        }
        if (current == entries.size()) {
            throw new IllegalArgumentException("data after the last declared tensor");
        }
        Entry entry = entries.get(current);
        if (bytes > entry.bytes() - received) {
            throw new IllegalArgumentException(bytes + " bytes given for tensor " + entry.name() + ", where only "
                    + (entry.bytes() - received) + " are left");
        }
        return entry;
    }

    private void append(Tensor view) throws IOException {
        if (view.isContiguous()) {
            append(view.segment().asSlice(0, view.elements() * view.dtype().bytes()));
            return;
        }
        if (view.rank() == 1) {
            long step = view.stride(0) * view.dtype().bytes();
            for (int i = 0; i < view.size(0); i++) {
                append(view.segment().asSlice(i * step, view.dtype().bytes()));
            }
            return;
        }
        for (int i = 0; i < view.size(0); i++) {
            append(view.select(0, i));
        }
    }

    private void append(MemorySegment bytes) throws IOException {
        long at = positions[current] + received;
        if (at != stagedAt + staged) {
            flush();
            stagedAt = at;
        }
        stage(bytes);
        received += bytes.byteSize();
    }

    private void stage(MemorySegment bytes) throws IOException {
        for (long done = 0; done < bytes.byteSize(); ) {
            long room = STAGING_BYTES - (stagedAt + staged) % STAGING_BYTES;
            long count = Math.min(room, bytes.byteSize() - done);
            MemorySegment.copy(bytes, done, staging, staged, count);
            staged += count;
            done += count;
            if (count == room) {
                flush();
            }
        }
    }

    private void flush() throws IOException {
        ByteBuffer rest = staging.asSlice(0, staged).asByteBuffer();
        while (rest.hasRemaining()) {
            stagedAt += channel.write(rest, stagedAt);
        }
        staged = 0;
    }

    private void advance() {
        if (received == entries.get(current).bytes()) {
            received = 0;
            current++;
        }
    }

    /**
     * Puts the finished file in place of the target, atomically.
     *
     * @throws IllegalStateException if data is still missing
     */
    public void commit() {
        boolean complete = received == 0 && entries.stream().skip(current).allMatch(entry -> entry.bytes() == 0);
        if (!complete) {
            throw new IllegalStateException("tensor " + entries.get(current).name() + " is incomplete");
        }
        try {
            flush();
            channel.force(false);
            channel.close();
            temporary.moveTo(target);
        } catch (IOException e) {
            throw failure(target, e);
        }
    }

    /** Releases everything; deletes the temporary file unless it was committed. */
    @Override
    public void close() {
        try {
            channel.close();
            temporary.close();
        } catch (IOException e) {
            throw failure(target, e);
        }
    }

    private static UncheckedIOException failure(Path target, IOException e) {
        return new UncheckedIOException("cannot write " + target + ": " + FormatException.reason(e), e);
    }
}

package obsprop.model.io;

import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;
import java.util.SequencedMap;
import java.util.SequencedSet;
import java.util.Set;
import java.util.function.Predicate;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import obsprop.tensor.Tensor;
import obsprop.tensor.io.FormatException;
import obsprop.tensor.io.SafetensorsFile;

/**
 * The weights of a Hugging Face model directory, in one file or in shards, as read-only views. It remembers which
 * tensors were taken, so that a family can refuse a model that holds more than it understands. Not for use by several
 * threads.
 */
public final class Checkpoint {
    private static final Pattern NUMBER = Pattern.compile("(?:^|\\.)(\\d{1,6})\\.");

    private final Path dir;
    private final SequencedMap<String, SafetensorsFile> files;
    private final Set<String> used = new HashSet<>();

    private Checkpoint(Path dir, SequencedMap<String, SafetensorsFile> files) {
        this.dir = dir;
        this.files = files;
    }

    /**
     * Maps {@code model.safetensors}, or the shards that {@code model.safetensors.index.json} names, and validates
     * everything; tensors stay valid as long as {@code arena}.
     *
     * @throws FormatException if there are no such files, or they are invalid or contradict each other
     */
    public static Checkpoint open(Path dir, Arena arena) {
        return open(dir, arena, SafetensorsFile.Access.READ_ONLY);
    }

    /** As {@link #open(Path, Arena)}, with tensors that may be written where {@code access} says so. */
    public static Checkpoint open(Path dir, Arena arena, SafetensorsFile.Access access) {
        return new Checkpoint(dir, Shards.open(dir, arena, access));
    }

    /**
     * The tensor {@code name}, marked as used.
     *
     * @throws FormatException if it is missing (the message suggests the closest names), has another shape, or is not
     *     F64, F32, F16 or BF16
     */
    public Tensor take(String name, int... shape) {
        Tensor tensor = find(name);
        if (!Arrays.equals(tensor.shape(), shape)) {
            throw refuse(name, "has shape " + Arrays.toString(tensor.shape()) + ", expected " + Arrays.toString(shape)
                    + ": do config.json and weights belong together?");
        }
        if (!tensor.dtype().isReal()) {
            throw refuse(name, "has dtype " + tensor.dtype() + ", expected F32, F16, BF16 or F64: quantised models are not read");
        }
        used.add(name);
        return tensor;
    }

    public boolean has(String name) {
        return files.containsKey(name);
    }

    /** All names, in the order of the file or index. */
    public SequencedSet<String> names() {
        return Collections.unmodifiableSequencedSet(files.sequencedKeySet());
    }

    /**
     * The shape of {@code name}; does not mark it as used.
     *
     * @throws FormatException if there is no such tensor
     */
    public int[] shapeOf(String name) {
        return find(name).shape();
    }

    /**
     * Checks that every tensor was taken.
     *
     * @param ignorable names that may be left over, for instance stored masks
     * @throws FormatException naming those that were not
     */
    public void requireAllUsed(Predicate<String> ignorable) {
        List<String> surplus = files.keySet().stream()
                .filter(name -> !used.contains(name) && !ignorable.test(name))
                .toList();
        if (!surplus.isEmpty()) {
            throw FormatException.in(dir, "holds " + surplus.size() + " tensors that this model family does not know: "
                    + Shards.list(surplus) + "; is model_type in config.json right?");
        }
    }

    /** Size of all weights as stored, in bytes. */
    public long bytes() {
        return files.values().stream().distinct().mapToLong(SafetensorsFile::dataBytes).sum();
    }

    /** The block that a tensor belongs to, which its name numbers: {@code h.3.ln_1.weight}; empty for those of no block. */
    public static OptionalInt layerOf(String name) {
        Matcher number = NUMBER.matcher(name);
        return number.find() ? OptionalInt.of(Integer.parseInt(number.group(1))) : OptionalInt.empty();
    }

    /** What is needed of the weights at once where blocks are brought over one by one: two blocks and all else, in bytes. */
    public long streamedBytes() {
        Map<OptionalInt, Long> byLayer = files.keySet().stream()
                .collect(Collectors.groupingBy(Checkpoint::layerOf, Collectors.summingLong(this::bytesOf)));
        long outside = byLayer.getOrDefault(OptionalInt.empty(), 0L);
        byLayer.remove(OptionalInt.empty());
        return outside + 2 * byLayer.values().stream().mapToLong(Long::longValue).max().orElse(0);
    }

    private long bytesOf(String name) {
        Tensor tensor = find(name);
        return tensor.elements() * tensor.dtype().bytes();
    }

    /**
     * Which of {@code candidates} the names of this checkpoint start with: the first for which candidate +
     * {@code probeName} exists. Base models and models with a head are saved with different ones, for instance
     * {@code ""} and {@code "transformer."}.
     *
     * @throws FormatException if none does
     */
    public String detectPrefix(String probeName, String... candidates) {
        return Arrays.stream(candidates)
                .filter(candidate -> has(candidate + probeName))
                .findFirst()
                .orElseThrow(() -> missing(probeName));
    }

    private Tensor find(String name) {
        SafetensorsFile file = files.get(name);
        if (file == null) {
            throw missing(name);
        }
        return file.tensor(name);
    }

    private FormatException refuse(String name, String problem) {
        return FormatException.in(files.get(name).path(), "tensor " + FormatException.quote(name) + " " + problem);
    }

    private FormatException missing(String name) {
        List<String> closest = files.keySet().stream()
                .sorted(Comparator.comparingInt(other -> NameDistance.between(name, other)))
                .limit(3)
                .toList();
        return FormatException.in(dir, "tensor " + FormatException.quote(name) + " is missing; "
                + (closest.isEmpty() ? "there are no tensors at all" : "the closest names are " + Shards.list(closest)));
    }
}

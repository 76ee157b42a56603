package obsprop.tensor.io;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.Set;
import obsprop.tensor.DType;

/**
 * The validated header of a safetensors file: eight bytes with the length n of the header, little-endian; n bytes of
 * JSON; the data. The tensors together cover the data exactly, without overlaps or holes.
 *
 * @param tensors by name, in the order of the header
 * @param metadata the strings under {@code __metadata__}
 * @param length the bytes before the data
 */
record SafetensorsHeader(SequencedMap<String, Entry> tensors, Map<String, String> metadata, long length) {
    static final String METADATA = "__metadata__";
    static final int LENGTH_BYTES = 8;

    /** Type, shape and place of one tensor; offsets count bytes from the start of the data. */
    record Entry(DType dtype, int[] shape, long begin, long end) {}

    /** Checks everything once, from the outside in. {@code path} is for messages. */
    static SafetensorsHeader read(MemorySegment file, Path path) {
        return new Ladder(file, path).climb();
    }

    /** The rungs in order: length, text, entries one by one, entries together. */
    private record Ladder(MemorySegment file, Path path) {
        private static final ValueLayout.OfLong LITTLE_ENDIAN_LONG =
                ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
        private static final Set<String> KEYS = Set.of("dtype", "shape", "data_offsets");
        private static final byte[] LFS = "version https://git-lfs".getBytes(StandardCharsets.US_ASCII);

        SafetensorsHeader climb() {
            long length = headerLength();
            var text = file.asSlice(LENGTH_BYTES, length).asByteBuffer();
            Json root = Json.parse(text, path + ": header", Json.Dialect.STRICT);
            if (!(root instanceof Json.Obj(Map<String, Json> members))) {
                throw refuse("the header is " + root.describe() + ", expected an object");
            }
            SequencedMap<String, Entry> tensors = new LinkedHashMap<>();
            Map<String, String> metadata = Map.of();
            for (var member : members.entrySet()) {
                if (member.getKey().equals(METADATA)) {
                    metadata = metadata(member.getValue());
                } else {
                    tensors.put(member.getKey(), entry(member.getKey(), member.getValue()));
                }
            }
            requireExactCover(tensors, file.byteSize() - LENGTH_BYTES - length);
            return new SafetensorsHeader(tensors, metadata, LENGTH_BYTES + length);
        }

        /** Without a segment over an array: see package obsprop.kernel.cpu for what that would cost. */
        private boolean isLfsPointer() {
            if (file.byteSize() < LFS.length) {
                return false;
            }
            for (int i = 0; i < LFS.length; i++) {
                if (file.get(ValueLayout.JAVA_BYTE, i) != LFS[i]) {
                    return false;
                }
            }
            return true;
        }

        private long headerLength() {
            long size = file.byteSize();
            if (isLfsPointer()) {
                throw refuse("a Git LFS pointer, not the file itself: fetch it with 'git lfs pull'");
            }
            if (size < LENGTH_BYTES) {
                throw refuse("only " + size + " bytes long, too short for a safetensors file: truncated? Fetch it again");
            }
            long length = file.get(LITTLE_ENDIAN_LONG, 0);
            if (length < 0 || length > Json.MAX_BYTES) {
                throw refuse("claims a header of " + Long.toUnsignedString(length) + " bytes, more than the "
                        + Json.MAX_BYTES + " allowed: not a safetensors file?");
            }
            if (length > size - LENGTH_BYTES) {
                throw refuse("claims a header of " + length + " bytes, but the file has only " + size
                        + ": truncated? Fetch it again");
            }
            if (length == 0 || file.get(ValueLayout.JAVA_BYTE, LENGTH_BYTES) != '{') {
                throw refuse("the header does not start with '{': not a safetensors file?");
            }
            return length;
        }

        private Map<String, String> metadata(Json value) {
            if (!(value instanceof Json.Obj(Map<String, Json> members))) {
                throw refuse(METADATA + " is " + value.describe() + ", expected an object of strings");
            }
            Map<String, String> metadata = new LinkedHashMap<>();
            members.forEach((key, member) -> {
                if (!(member instanceof Json.Str(String text))) {
                    throw refuse(METADATA + ": " + FormatException.quote(key) + " is " + member.describe() + ", expected a string");
                }
                metadata.put(key, text);
            });
            return metadata;
        }

        private Entry entry(String name, Json value) {
            if (!(value instanceof Json.Obj(Map<String, Json> members))) {
                throw refuse(name, "is " + value.describe() + ", expected an object with dtype, shape and data_offsets");
            }
            for (String key : members.keySet()) {
                if (!KEYS.contains(key)) {
                    throw refuse(name, "has the unknown key " + FormatException.quote(key));
                }
            }
            for (String key : List.of("dtype", "shape", "data_offsets")) {
                if (!members.containsKey(key)) {
                    throw refuse(name, "has no " + key);
                }
            }
            DType dtype = dtype(name, members.get("dtype"));
            int[] shape = shape(name, members.get("shape"));
            long[] offsets = naturals(name, "data_offsets", members.get("data_offsets"));
            if (offsets.length != 2) {
                throw refuse(name, "has " + offsets.length + " data_offsets, expected begin and end");
            }
            if (offsets[0] > offsets[1]) {
                throw refuse(name, "begins at " + offsets[0] + " after its end " + offsets[1]);
            }
            requireBytes(name, dtype, shape, offsets[1] - offsets[0]);
            return new Entry(dtype, shape, offsets[0], offsets[1]);
        }

        private DType dtype(String name, Json value) {
            if (!(value instanceof Json.Str(String text))) {
                throw refuse(name, "dtype is " + value.describe() + ", expected a string");
            }
            return Arrays.stream(DType.values())
                    .filter(dtype -> dtype.name().equals(text))
                    .findFirst()
                    .orElseThrow(() -> refuse(name, "has the unknown dtype " + FormatException.quote(text)
                            + ", expected one of " + Arrays.toString(DType.values())));
        }

        private int[] shape(String name, Json value) {
            long[] sizes = naturals(name, "shape", value);
            int[] shape = new int[sizes.length];
            for (int axis = 0; axis < sizes.length; axis++) {
                if (sizes[axis] > Integer.MAX_VALUE) {
                    throw refuse(name, "has size " + sizes[axis] + " along axis " + axis + ", more than the "
                            + Integer.MAX_VALUE + " supported along one axis");
                }
                shape[axis] = (int) sizes[axis];
            }
            return shape;
        }

        private long[] naturals(String name, String key, Json value) {
            if (!(value instanceof Json.Arr(List<Json> items))) {
                throw refuse(name, key + " is " + value.describe() + ", expected an array of integers");
            }
            return items.stream().mapToLong(item -> natural(name, key, item)).toArray();
        }

        /** Digits only: no sign, fraction or exponent, as the reference has it. */
        private long natural(String name, String key, Json value) {
            if (!(value instanceof Json.Num(String text)) || !text.chars().allMatch(c -> c >= '0' && c <= '9')) {
                throw refuse(name, key + " holds " + value.describe() + ", expected a non-negative integer");
            }
            try {
                return Long.parseLong(text);
            } catch (NumberFormatException e) {
                throw refuse(name, key + " holds " + FormatException.quote(text) + ", which overflows 64 bits");
            }
        }

        private void requireBytes(String name, DType dtype, int[] shape, long found) {
            long expected = dtype.bytes();
            try {
                for (int size : shape) {
                    expected = Math.multiplyExact(expected, (long) size);
                }
            } catch (ArithmeticException e) {
                throw refuse(name, "shape " + Arrays.toString(shape) + " overflows 64 bits");
            }
            if (expected != found) {
                throw refuse(name, "takes " + found + " bytes, but " + dtype + Arrays.toString(shape) + " needs " + expected);
            }
        }

        private void requireExactCover(Map<String, Entry> tensors, long dataBytes) {
            var ordered = tensors.entrySet().stream()
                    .sorted(Comparator.comparingLong((Map.Entry<String, Entry> e) -> e.getValue().begin())
                            .thenComparingLong(e -> e.getValue().end()))
                    .toList();
            long covered = 0;
            for (var tensor : ordered) {
                Entry entry = tensor.getValue();
                if (entry.end() > dataBytes) {
                    throw refuse(tensor.getKey(), "ends at byte " + entry.end() + " of the data, but there are only "
                            + dataBytes + ": truncated? Fetch the file again");
                }
                if (entry.begin() != covered) {
                    throw refuse(tensor.getKey(), entry.begin() < covered
                            ? "overlaps the tensor before it: begins at " + entry.begin() + ", expected " + covered
                            : "leaves a hole before it: begins at " + entry.begin() + ", expected " + covered);
                }
                covered = entry.end();
            }
            if (covered != dataBytes) {
                throw refuse("has " + dataBytes + " bytes of data, but the tensors cover only " + covered
                        + ": trailing bytes or an incomplete header");
            }
        }

        private FormatException refuse(String problem) {
            return FormatException.in(path, problem);
        }

        private FormatException refuse(String tensor, String problem) {
            return FormatException.in(path, "tensor " + FormatException.quote(tensor) + " " + problem);
        }
    }
}

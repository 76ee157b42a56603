package obsprop.tensor.io;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonGenerator;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.IntStream;
import obsprop.tensor.io.SafetensorsWriter.Entry;

/**
 * Where everything goes in a safetensors file to be written.
 *
 * @param entries the tensors in declared order, which is also the order of the header
 * @param positions where each entry's data begins in the file: wider types first, so that each is aligned to its type
 * @param start the bytes before the data: length and header, padded to whole cache lines, as weights are read in place
 */
record SafetensorsLayout(List<Entry> entries, long[] positions, byte[] start) {
    private static final int CACHE_LINE = 64;

    static SafetensorsLayout of(List<Entry> entries, Map<String, String> metadata) {
        requireNames(entries);
        long[] offsets = offsets(entries);
        byte[] start = start(header(entries, offsets, metadata));
        return new SafetensorsLayout(entries, Arrays.stream(offsets).map(offset -> offset + start.length).toArray(), start);
    }

    private static void requireNames(List<Entry> entries) {
        Set<String> seen = new HashSet<>();
        for (Entry entry : entries) {
            if (!seen.add(entry.name())) {
                throw new IllegalArgumentException("tensor " + entry.name() + " is declared twice");
            }
            if (entry.name().equals(SafetensorsHeader.METADATA)) {
                throw new IllegalArgumentException("a tensor cannot be called " + SafetensorsHeader.METADATA);
            }
        }
    }

    /** Offsets within the data, by entry. */
    private static long[] offsets(List<Entry> entries) {
        int[] order = IntStream.range(0, entries.size()).boxed()
                .sorted(Comparator.comparingInt((Integer i) -> entries.get(i).dtype().bytes()).reversed())
                .mapToInt(Integer::intValue).toArray();
        long[] offsets = new long[entries.size()];
        long offset = 0;
        for (int i : order) {
            offsets[i] = offset;
            offset = Math.addExact(offset, entries.get(i).bytes());
        }
        return offsets;
    }

    private static byte[] header(List<Entry> entries, long[] offsets, Map<String, String> metadata) {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        try (JsonGenerator json = new JsonFactory().createGenerator(out)) {
            json.writeStartObject();
            if (!metadata.isEmpty()) {
                json.writeObjectFieldStart(SafetensorsHeader.METADATA);
                for (var item : metadata.entrySet()) {
                    json.writeStringField(requireUnicode(item.getKey()), requireUnicode(item.getValue()));
                }
                json.writeEndObject();
            }
            for (int i = 0; i < offsets.length; i++) {
                writeEntry(json, entries.get(i), offsets[i]);
            }
            json.writeEndObject();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return out.toByteArray();
    }

    private static void writeEntry(JsonGenerator json, Entry entry, long offset) throws IOException {
        int[] shape = entry.shape().stream().mapToInt(Integer::intValue).toArray();
        json.writeObjectFieldStart(requireUnicode(entry.name()));
        json.writeStringField("dtype", entry.dtype().name());
        json.writeFieldName("shape");
        json.writeArray(shape, 0, shape.length);
        json.writeFieldName("data_offsets");
        json.writeArray(new long[] {offset, offset + entry.bytes()}, 0, 2);
        json.writeEndObject();
    }

    private static byte[] start(byte[] header) {
        int padded = (SafetensorsHeader.LENGTH_BYTES + header.length + CACHE_LINE - 1 & -CACHE_LINE) - SafetensorsHeader.LENGTH_BYTES;
        if (padded > Json.MAX_BYTES) {
            throw new IllegalArgumentException("the header would take " + padded + " bytes, more than the "
                    + Json.MAX_BYTES + " that the format allows");
        }
        byte[] start = new byte[SafetensorsHeader.LENGTH_BYTES + padded];
        Arrays.fill(start, (byte) ' ');
        ByteBuffer.wrap(start).order(ByteOrder.LITTLE_ENDIAN).putLong(padded).put(header);
        return start;
    }

    private static String requireUnicode(String text) {
        if (!StandardCharsets.UTF_8.newEncoder().canEncode(text)) {
            throw new IllegalArgumentException("unpaired surrogate in the name or metadata " + FormatException.quote(text));
        }
        return text;
    }
}

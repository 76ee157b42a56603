package obsprop.weights.checkpoint;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SequencedMap;
import obsprop.tensor.DType;
import obsprop.tensor.Place;
import obsprop.tensor.Tensor;
import obsprop.tensor.io.FormatException;
import obsprop.tensor.io.Json;

/**
 * A checkpoint of karpathy/llama2.c ({@code .bin}, legacy or version 1, F32), presented as a Hugging Face llama model.
 *
 * <p>llama2.c turns neighbouring pairs of a query or key (rows 2i, 2i + 1 of a head); Hugging Face turns pairs half a
 * head apart (rows i, i + D/2). So the rows of each head of wq and wk are reordered: evens first, then odds. Scores do
 * not change, since queries and keys are reordered alike.
 *
 * @param tensors by Hugging Face name, views of the mapped file
 * @param config what config.json has to say
 */
public record Llama2c(SequencedMap<String, Tensor> tensors, ConfigJson config) {
    private static final ValueLayout.OfInt INT =
            ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
    private static final int MAGIC = 0x616b3432;
    private static final int LEGACY_HEADER = 28;
    private static final int VERSIONED_HEADER = 256;

    /** The seven numbers that every version states, and whether the head is the embedding. */
    private record Sizes(int d, int mlp, int layers, int heads, int kvHeads, int vocab, int context, boolean tied) {
        int dHead() {
            return d / heads;
        }

        int kvWidth() {
            return kvHeads * dHead();
        }
    }

    /**
     * Maps a checkpoint.
     *
     * @throws FormatException if it is too short or too long for what its header says, or quantised
     */
    public static Llama2c open(Path file, Arena arena) {
        MemorySegment data;
        try (FileChannel channel = FileChannel.open(file)) {
            data = channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size(), arena);
        } catch (IOException e) {
            throw FormatException.unreadable(file, e);
        }
        if (data.byteSize() < VERSIONED_HEADER) {
            throw FormatException.in(file, "has only " + data.byteSize() + " bytes: not a llama2.c checkpoint");
        }
        boolean legacy = data.get(INT, 0) != MAGIC;
        if (!legacy && data.get(INT, 4) != 1) {
            throw FormatException.in(file, "is version " + data.get(INT, 4)
                    + " of llama2.c's format; only the legacy one and version 1 (F32) are read: export it again as F32");
        }
        Sizes sizes = sizes(file, data, legacy);
        Reader reader = new Reader(file, data, legacy ? LEGACY_HEADER : VERSIONED_HEADER);
        return new Llama2c(legacy ? legacy(reader, sizes) : versioned(reader, sizes), config(sizes));
    }

    private static Sizes sizes(Path file, MemorySegment data, boolean legacy) {
        int[] n = new int[7];
        for (int i = 0; i < n.length; i++) {
            n[i] = data.get(INT, (legacy ? 0 : 8) + 4L * i);
        }
        boolean tied = legacy ? n[5] > 0 : data.get(ValueLayout.JAVA_BYTE, 36) != 0;
        Sizes sizes = new Sizes(n[0], n[1], n[2], n[3], n[4], Math.abs(n[5]), n[6], tied);
        boolean sane = n[0] > 0 && n[1] > 0 && n[2] > 0 && n[3] > 0 && n[4] > 0 && n[5] != 0 && n[6] > 0
                && n[0] % n[3] == 0 && n[3] % n[4] == 0 && sizes.dHead() % 2 == 0;
        if (!sane) {
            throw FormatException.in(file, "states impossible sizes in its header: " + sizes
                    + "; not a llama2.c checkpoint?");
        }
        return sizes;
    }

    /** Hands out consecutive F32 tensors. */
    private static final class Reader {
        private final Path file;
        private final MemorySegment data;
        private long at;

        Reader(Path file, MemorySegment data, long start) {
            this.file = file;
            this.data = data;
            this.at = start;
        }

        Tensor next(int... shape) {
            long bytes = 4;
            for (int size : shape) {
                bytes = Math.multiplyExact(bytes, (long) size);
            }
            if (bytes > data.byteSize() - at) {
                throw FormatException.in(file, "is truncated: it has " + data.byteSize()
                        + " bytes, its header promises at least " + (at + bytes));
            }
            Tensor tensor = Tensor.of(data.asSlice(at, bytes), DType.F32, Place.HOST, shape);
            at += bytes;
            return tensor;
        }

        void finish() {
            if (at != data.byteSize()) {
                throw FormatException.in(file, "has " + data.byteSize() + " bytes, its header accounts for " + at);
            }
        }
    }

    private static SequencedMap<String, Tensor> legacy(Reader in, Sizes s) {
        SequencedMap<String, Tensor> out = new LinkedHashMap<>();
        out.put("model.embed_tokens.weight", in.next(s.vocab, s.d));
        perLayer(out, in.next(s.layers, s.d), "input_layernorm");
        projections(out, in, s);
        perLayer(out, in.next(s.layers, s.d), "post_attention_layernorm");
        mlp(out, in, s);
        out.put("model.norm.weight", in.next(s.d));
        // Rotation tables of former versions: computed anew from theta.
        in.next(s.context, s.dHead() / 2);
        in.next(s.context, s.dHead() / 2);
        head(out, in, s);
        return out;
    }

    private static SequencedMap<String, Tensor> versioned(Reader in, Sizes s) {
        SequencedMap<String, Tensor> out = new LinkedHashMap<>();
        perLayer(out, in.next(s.layers, s.d), "input_layernorm");
        perLayer(out, in.next(s.layers, s.d), "post_attention_layernorm");
        out.put("model.norm.weight", in.next(s.d));
        out.put("model.embed_tokens.weight", in.next(s.vocab, s.d));
        projections(out, in, s);
        mlp(out, in, s);
        head(out, in, s);
        return out;
    }

    private static void projections(Map<String, Tensor> out, Reader in, Sizes s) {
        perLayer(out, halfSplit(in.next(s.layers, s.d, s.d), s.heads), "self_attn.q_proj");
        perLayer(out, halfSplit(in.next(s.layers, s.kvWidth(), s.d), s.kvHeads), "self_attn.k_proj");
        perLayer(out, in.next(s.layers, s.kvWidth(), s.d), "self_attn.v_proj");
        perLayer(out, in.next(s.layers, s.d, s.d), "self_attn.o_proj");
    }

    private static void mlp(Map<String, Tensor> out, Reader in, Sizes s) {
        perLayer(out, in.next(s.layers, s.mlp, s.d), "mlp.gate_proj");
        perLayer(out, in.next(s.layers, s.d, s.mlp), "mlp.down_proj");
        perLayer(out, in.next(s.layers, s.mlp, s.d), "mlp.up_proj");
    }

    private static void head(Map<String, Tensor> out, Reader in, Sizes s) {
        if (!s.tied) {
            out.put("lm_head.weight", in.next(s.vocab, s.d));
        }
        in.finish();
    }

    private static void perLayer(Map<String, Tensor> out, Tensor stacked, String name) {
        for (int l = 0; l < stacked.size(0); l++) {
            out.put("model.layers." + l + "." + name + ".weight", stacked.select(0, l));
        }
    }

    /** A copy of [L, heads * D, d] with each head's rows reordered, evens first. */
    private static Tensor halfSplit(Tensor stacked, int heads) {
        int rows = stacked.size(1);
        int d = stacked.size(2);
        int half = rows / heads / 2;
        Tensor out = Tensor.allocate(Arena.ofAuto(), DType.F32, stacked.shape());
        for (int l = 0; l < stacked.size(0); l++) {
            for (int row = 0; row < rows; row++) {
                int inHead = row % (2 * half);
                int from = row - inHead + 2 * (inHead % half) + inHead / half;
                MemorySegment source = stacked.select(0, l).select(0, from).segment();
                MemorySegment.copy(source, 0, out.select(0, l).select(0, row).segment(), 0, 4L * d);
            }
        }
        return out;
    }

    private static ConfigJson config(Sizes s) {
        return ConfigJson.of(Map.of("model_type", new Json.Str("llama")))
                .set("architectures", "[\"LlamaForCausalLM\"]")
                .set("hidden_size", String.valueOf(s.d))
                .set("intermediate_size", String.valueOf(s.mlp))
                .set("num_hidden_layers", String.valueOf(s.layers))
                .set("num_attention_heads", String.valueOf(s.heads))
                .set("num_key_value_heads", String.valueOf(s.kvHeads))
                .set("vocab_size", String.valueOf(s.vocab))
                .set("max_position_embeddings", String.valueOf(s.context))
                .set("hidden_act", "silu")
                .set("rms_norm_eps", "1e-5")
                .set("rope_theta", "10000.0")
                .set("tie_word_embeddings", String.valueOf(s.tied));
    }
}

package obsprop.model.family;

import java.util.List;
import java.util.Optional;
import java.util.function.IntFunction;
import java.util.stream.IntStream;
import obsprop.kernel.Activation;
import obsprop.kernel.AttentionSpec;
import obsprop.model.ModelConfig;
import obsprop.model.Transformer;
import obsprop.model.io.Config;
import obsprop.model.layer.Block;
import obsprop.model.layer.Embedding;
import obsprop.model.layer.Linear;
import obsprop.model.layer.Mlp;
import obsprop.model.layer.Norm;
import obsprop.model.layer.QkvProjection;
import obsprop.model.layer.Unembedding;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;

/**
 * What the descendants of Llama share: tensor names, grouped-query projections, gated MLPs, RMS norms.
 *
 * @param gainOffset 1 where the files store gain - 1 (Gemma)
 */
record LlamaParts(Parts parts, ModelConfig sizes, String prefix, double epsilon, double gainOffset) {

    /**
     * What the reference implementation takes where a config does not say: the text part of a multimodal model leaves out what is
     * as usual.
     *
     * @param kvHeads 0 for as many as heads
     * @param dHead 0 for d / heads
     */
    record Defaults(int vocabulary, int d, int dMlp, int layers, int heads, int kvHeads, int dHead, int positions, double epsilon) {}

    static LlamaParts of(Parts parts, String family, Defaults defaults, double gainOffset) {
        Config config = parts.config();
        int d = config.sizeOr("hidden_size", defaults.d);
        int heads = config.sizeOr("num_attention_heads", defaults.heads);
        boolean free = config.isPresent("head_dim") || defaults.dHead > 0;
        int width = free ? config.sizeOr("head_dim", defaults.dHead) : Sizes.headWidth(config, d, heads);
        boolean all = defaults.kvHeads == 0 || config.isNull("num_key_value_heads");
        int kvHeads = config.sizeOr("num_key_value_heads", all ? heads : defaults.kvHeads);
        if (kvHeads < 1 || heads % kvHeads != 0) {
            throw config.refuse("num_key_value_heads", "is " + kvHeads + ", which does not divide the " + heads + " heads");
        }
        var sizes = new ModelConfig(family, config.sizeOr("num_hidden_layers", defaults.layers), heads, kvHeads, d, width,
                config.sizeOr("intermediate_size", defaults.dMlp), config.sizeOr("vocab_size", defaults.vocabulary),
                config.sizeOr("max_position_embeddings", defaults.positions));
        String prefix = parts.checkpoint().detectPrefix(
                "embed_tokens.weight", "model.", "", "language_model.model.", "model.language_model.", "model.text_model.");
        return new LlamaParts(parts, sizes, prefix, config.epsilonOr("rms_norm_eps", defaults.epsilon), gainOffset);
    }

    /** The name of a part of block {@code layer}. */
    String name(int layer, String part) {
        return prefix + "layers." + layer + "." + part;
    }

    /** Element type of the token embedding as stored. */
    DType embeddingType() {
        return parts.checkpoint().take(prefix + "embed_tokens.weight", sizes.dVocab(), sizes.dModel()).dtype();
    }

    Norm norm(int layer, String part) {
        return parts.rmsNorm(name(layer, part), sizes.dModel(), epsilon, gainOffset);
    }

    /** A norm of the queries or keys of a layer, {@code width} wide. */
    Norm headNorm(int layer, String part, int width) {
        return parts.rmsNorm(name(layer, part), width, epsilon, gainOffset);
    }

    QkvProjection projection(int layer, Parts.Bias bias) {
        return parts.separateQkv(name(layer, "self_attn."), sizes, bias);
    }

    Linear output(int layer, Parts.Bias bias) {
        return parts.linear(name(layer, "self_attn.o_proj"), sizes.nHeads() * sizes.dHead(), sizes.dModel(), bias);
    }

    Mlp mlp(int layer, Activation f, Parts.Bias bias) {
        int d = sizes.dModel();
        return new Mlp.Gated(
                parts.linear(name(layer, "mlp.gate_proj"), d, sizes.dMlp(), bias),
                parts.linear(name(layer, "mlp.up_proj"), d, sizes.dMlp(), bias),
                f,
                parts.linear(name(layer, "mlp.down_proj"), sizes.dMlp(), d, bias));
    }

    /** Scores divided by sqrt(D), all keys seen. */
    AttentionSpec plainSpec() {
        return Parts.plainSpec(sizes);
    }

    AttentionSpec windowedSpec(int window) {
        return new AttentionSpec(1 / Math.sqrt(sizes.dHead()), window, AttentionSpec.NO_CAP);
    }

    /**
     * Puts the model together.
     *
     * @param embeddingScale factor on the token embedding
     * @param tiedByDefault whether the head is the embedding where the config does not say
     */
    Transformer transformer(IntFunction<Block> block, double embeddingScale, double finalCap, boolean tiedByDefault) {
        Tensor tokens = parts.tensor(prefix + "embed_tokens.weight", sizes.dVocab(), sizes.dModel());
        List<Block> blocks = IntStream.range(0, sizes.nLayers()).mapToObj(block).toList();
        Norm last = parts.rmsNorm(prefix + "norm", sizes.dModel(), epsilon, gainOffset);
        String head = prefix.startsWith("language_model.") ? "language_model.lm_head" : "lm_head";
        var unembedding = new Unembedding(
                Optional.empty(), parts.head(head, prefix + "embed_tokens.weight", tokens, tiedByDefault, Parts.Bias.ABSENT), finalCap);
        return new Transformer(sizes, parts.kernels(), parts.arena(),
                new Embedding(tokens, embeddingScale, Optional.empty(), Optional.empty()), blocks, last, unembedding);
    }
}

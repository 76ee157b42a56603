package obsprop.model.family;

import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.stream.IntStream;
import obsprop.kernel.AttentionSpec;
import obsprop.model.ModelConfig;
import obsprop.model.Transformer;
import obsprop.model.io.Config;
import obsprop.model.layer.Attention;
import obsprop.model.layer.Block;
import obsprop.model.layer.Embedding;
import obsprop.model.layer.Linear;
import obsprop.model.layer.Mlp;
import obsprop.model.layer.Norm;
import obsprop.model.layer.SequentialBlock;
import obsprop.model.layer.StreamNormBlock;
import obsprop.model.layer.Unembedding;
import obsprop.tensor.Tensor;

/** OPT: positions from row 2, ReLU; the 350m form has its norms on the stream and a narrower embedding. */
final class Opt implements Family {
    /** Rows of the position table before position 0. */
    private static final int POSITION_OFFSET = 2;

    private static final double EPSILON = 1e-5;

    @Override
    public Set<String> modelTypes() {
        return Set.of("opt");
    }

    @Override
    public Transformer build(Parts parts) {
        Config config = parts.config();
        config.ignore("learned_embeddings");
        if (!config.booleanOr("layer_norm_elementwise_affine", true)) {
            throw config.refuse("layer_norm_elementwise_affine", "is false: norms without gain are not understood");
        }
        int d = config.requireSize("hidden_size");
        int heads = config.requireSize("num_attention_heads");
        int layers = config.requireSize("num_hidden_layers");
        boolean normBefore = config.booleanOr("do_layer_norm_before", true);
        boolean normLast = !config.booleanOr("_remove_final_layer_norm", false) && normBefore;
        int e = config.sizeOr("word_embed_proj_dim", d);
        var sizes = new ModelConfig("opt", layers, heads, heads, d, Sizes.headWidth(config, d, heads),
                config.requireSize("ffn_dim"), config.requireSize("vocab_size"),
                config.requireSize("max_position_embeddings"));
        String prefix =
                parts.checkpoint().detectPrefix("embed_tokens.weight", "model.decoder.", "decoder.", "");
        Tensor tokens = parts.tensor(prefix + "embed_tokens.weight", sizes.dVocab(), e);
        int rows = sizes.maxPositions() + POSITION_OFFSET;
        Tensor positions = parts.tensor(prefix + "embed_positions.weight", rows, d).slice(0, POSITION_OFFSET, rows);
        Optional<Linear> in = projection(parts, prefix + "project_in", e, d, e != d);
        Optional<Linear> out = projection(parts, prefix + "project_out", d, e, e != d);
        List<Block> blocks = IntStream.range(0, layers)
                .mapToObj(l -> block(parts, sizes, prefix + "layers." + l, l, normBefore))
                .toList();
        Norm last = normLast ? parts.layerNorm(prefix + "final_layer_norm", d, EPSILON) : Norm.IDENTITY;
        Linear head = parts.head("lm_head", prefix + "embed_tokens.weight", tokens, true, Parts.Bias.ABSENT);
        var unembedding = new Unembedding(out, head, AttentionSpec.NO_CAP);
        return new Transformer(sizes, parts.kernels(), parts.arena(),
                new Embedding(tokens, 1, in, Optional.of(positions)), blocks, last, unembedding);
    }

    private static Optional<Linear> projection(Parts parts, String name, int in, int out, boolean present) {
        return present ? Optional.of(parts.linear(name, in, out, Parts.Bias.ABSENT)) : Optional.empty();
    }

    private static Block block(Parts parts, ModelConfig sizes, String name, int layer, boolean normBefore) {
        int d = sizes.dModel();
        var bias = Parts.Bias.of(parts.config().booleanOr("enable_bias", true));
        String attn = name + ".self_attn.";
        var projection = parts.separateQkv(attn, sizes, bias);
        var attention = new Attention(projection, Optional.empty(), Optional.empty(),
                Parts.plainSpec(sizes),
                parts.linear(attn + "out_proj", d, d, bias));
        var mlp = new Mlp.Plain(parts.linear(name + ".fc1", d, sizes.dMlp(), bias),
                parts.activation("activation_function", "relu"),
                parts.linear(name + ".fc2", sizes.dMlp(), d, bias));
        Norm first = parts.layerNorm(name + ".self_attn_layer_norm", d, EPSILON);
        Norm second = parts.layerNorm(name + ".final_layer_norm", d, EPSILON);
        return normBefore
                ? new SequentialBlock(layer, attention, mlp, first, Norm.IDENTITY, second, Norm.IDENTITY)
                : new StreamNormBlock(layer, attention, mlp, first, second);
    }
}

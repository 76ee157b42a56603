package obsprop.model.family;

import java.util.List;
import java.util.Optional;
import java.util.Set;
import obsprop.model.ModelConfig;
import obsprop.model.Transformer;
import obsprop.model.io.Config;
import obsprop.model.layer.Attention;
import obsprop.model.layer.Block;
import obsprop.model.layer.Embedding;
import obsprop.model.layer.Mlp;
import obsprop.model.layer.Norm;
import obsprop.model.layer.ParallelBlock;
import obsprop.model.layer.QkvProjection;
import obsprop.model.layer.Rotary;
import obsprop.model.layer.SequentialBlock;
import obsprop.tensor.Tensor;

/** GPT-NeoX (Pythia): query_key_value fused per head, rotary on a part of each head, parallel or sequential blocks. */
final class GptNeoX implements Family {
    @Override
    public Set<String> modelTypes() {
        return Set.of("gpt_neox");
    }

    @Override
    public Transformer build(Parts parts) {
        Config config = parts.config();
        int d = config.requireSize("hidden_size");
        int heads = config.requireSize("num_attention_heads");
        int layers = config.requireSize("num_hidden_layers");
        double epsilon = config.epsilonOr("layer_norm_eps", 1e-5);
        int width = Sizes.headWidth(config, d, heads);
        var sizes = new ModelConfig("gpt_neox", layers, heads, heads, d, width, config.requireSize("intermediate_size"),
                config.requireSize("vocab_size"), config.requireSize("max_position_embeddings"));
        Rotary rotary = rotary(config, width);
        String prefix = parts.checkpoint().detectPrefix("embed_in.weight", "gpt_neox.", "");
        Tensor tokens = parts.tensor(prefix + "embed_in.weight", sizes.dVocab(), d);
        Norm last = parts.layerNorm(prefix + "final_layer_norm", d, epsilon);
        return parts.transformer(sizes, new Embedding(tokens, 1, Optional.empty(), Optional.empty()),
                l -> block(parts, sizes, prefix + "layers." + l, l, rotary, epsilon), last,
                parts.head("embed_out", prefix + "embed_in.weight", tokens, false, Parts.Bias.ABSENT));
    }

    private static Rotary rotary(Config config, int width) {
        Config parameters = Rotaries.parameters(config);
        double fraction = named(config, "rotary_pct", 0.25, "partial_rotary_factor");
        double theta = named(config, "rotary_emb_base", 10000, "rope_theta");
        if (parameters != config) {
            fraction = parameters.doubleOr("partial_rotary_factor", fraction);
            theta = parameters.positiveOr("rope_theta", theta);
        }
        return Rotaries.scaled(config, parameters, theta, Rotaries.turning(config, width, fraction));
    }

    /** The value at this family's own key; some versions save it under the usual key too, which is not followed. */
    private static double named(Config config, String key, double otherwise, String usual) {
        double value = config.positiveOr(key, otherwise);
        if (config.doubleOr(usual, value) != value) {
            throw config.refuse(usual, "is not " + key + ", " + value + ", which the reference implementation follows");
        }
        return value;
    }

    private static Block block(
            Parts parts, ModelConfig sizes, String name, int layer, Rotary rotary, double epsilon) {
        int d = sizes.dModel();
        var bias = Parts.Bias.of(parts.config().booleanOr("attention_bias", true));
        var projection = new QkvProjection(
                List.of(parts.linear(name + ".attention.query_key_value", d, 3 * d, bias)),
                QkvProjection.Arrangement.BY_HEAD, sizes.nHeads(), sizes.nHeads(), sizes.dHead());
        var attention = new Attention(projection, Optional.empty(), Optional.of(rotary),
                Parts.plainSpec(sizes),
                parts.linear(name + ".attention.dense", d, d, bias));
        var mlp = new Mlp.Plain(parts.linear(name + ".mlp.dense_h_to_4h", d, sizes.dMlp(), Parts.Bias.PRESENT),
                parts.activation("hidden_act", "gelu"),
                parts.linear(name + ".mlp.dense_4h_to_h", sizes.dMlp(), d, Parts.Bias.PRESENT));
        Norm first = parts.layerNorm(name + ".input_layernorm", d, epsilon);
        Norm second = parts.layerNorm(name + ".post_attention_layernorm", d, epsilon);
        return parts.config().booleanOr("use_parallel_residual", true)
                ? new ParallelBlock(layer, attention, mlp, first, second)
                : new SequentialBlock(layer, attention, mlp, first, Norm.IDENTITY, second, Norm.IDENTITY);
    }
}

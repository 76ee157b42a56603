package obsprop.model.family;

import java.util.List;
import java.util.Optional;
import java.util.Set;
import obsprop.kernel.AttentionSpec;
import obsprop.model.ModelConfig;
import obsprop.model.Transformer;
import obsprop.model.io.Config;
import obsprop.model.layer.Attention;
import obsprop.model.layer.Block;
import obsprop.model.layer.Embedding;
import obsprop.model.layer.Mlp;
import obsprop.model.layer.Norm;
import obsprop.model.layer.QkvProjection;
import obsprop.model.layer.SequentialBlock;
import obsprop.tensor.Tensor;

/** GPT-2: fused c_attn, Conv1D weights [in,out], learned positions. */
final class Gpt2 implements Family {
    @Override
    public Set<String> modelTypes() {
        return Set.of("gpt2");
    }

    @Override
    public Transformer build(Parts parts) {
        Config config = parts.config();
        config.ignore("apply_query_key_layer_scaling", "normalize_attention_scores");
        int d = config.requireSize("n_embd");
        int heads = config.requireSize("n_head");
        int mlp = config.sizeOr("n_inner", 4 * d);
        int layers = config.requireSize("n_layer");
        double epsilon = config.epsilonOr("layer_norm_epsilon", 1e-5);
        if (config.booleanOr("add_cross_attention", false)) {
            throw config.refuse("add_cross_attention", "is true: encoder-decoder models are not understood");
        }
        var sizes = new ModelConfig("gpt2", layers, heads, heads, d, Sizes.headWidth(config, d, heads), mlp,
                config.requireSize("vocab_size"), config.requireSize("n_positions"));
        String prefix = parts.checkpoint().detectPrefix("wte.weight", "transformer.", "");
        Tensor tokens = parts.tensor(prefix + "wte.weight", sizes.dVocab(), d);
        Tensor positions = parts.tensor(prefix + "wpe.weight", sizes.maxPositions(), d);
        Norm last = parts.layerNorm(prefix + "ln_f", d, epsilon);
        return parts.transformer(sizes, new Embedding(tokens, 1, Optional.empty(), Optional.of(positions)),
                l -> block(parts, sizes, prefix + "h." + l, l, epsilon), last,
                parts.head("lm_head", prefix + "wte.weight", tokens, true, Parts.Bias.ABSENT));
    }

    private static Block block(Parts parts, ModelConfig sizes, String name, int layer, double epsilon) {
        int d = sizes.dModel();
        double scale = parts.config().booleanOr("scale_attn_weights", true) ? 1 / Math.sqrt(sizes.dHead()) : 1;
        if (parts.config().booleanOr("scale_attn_by_inverse_layer_idx", false)) {
            scale /= layer + 1;
        }
        var projection = new QkvProjection(List.of(parts.conv1d(name + ".attn.c_attn", d, 3 * d)),
                QkvProjection.Arrangement.BY_ROLE, sizes.nHeads(), sizes.nHeads(), sizes.dHead());
        var attention = new Attention(projection, Optional.empty(), Optional.empty(),
                new AttentionSpec(scale, AttentionSpec.NO_WINDOW, AttentionSpec.NO_CAP),
                parts.conv1d(name + ".attn.c_proj", d, d));
        var mlp = new Mlp.Plain(parts.conv1d(name + ".mlp.c_fc", d, sizes.dMlp()),
                parts.activation("activation_function", "gelu_new"),
                parts.conv1d(name + ".mlp.c_proj", sizes.dMlp(), d));
        return new SequentialBlock(layer, attention, mlp,
                parts.layerNorm(name + ".ln_1", d, epsilon), Norm.IDENTITY,
                parts.layerNorm(name + ".ln_2", d, epsilon), Norm.IDENTITY);
    }
}

package obsprop.model.family;

import java.util.Optional;
import java.util.Set;
import obsprop.kernel.RotaryStyle;
import obsprop.model.ModelConfig;
import obsprop.model.Transformer;
import obsprop.model.io.Config;
import obsprop.model.layer.Attention;
import obsprop.model.layer.Block;
import obsprop.model.layer.Embedding;
import obsprop.model.layer.Mlp;
import obsprop.model.layer.Norm;
import obsprop.model.layer.ParallelBlock;
import obsprop.model.layer.Rotary;
import obsprop.tensor.Tensor;

/** GPT-J: parallel blocks with one norm for both, interleaved rotary, a head with a bias. */
final class GptJ implements Family {
    @Override
    public Set<String> modelTypes() {
        return Set.of("gptj");
    }

    @Override
    public Transformer build(Parts parts) {
        Config config = parts.config();
        int d = config.requireSize("n_embd");
        int heads = config.requireSize("n_head");
        int layers = config.requireSize("n_layer");
        int mlp = config.sizeOr("n_inner", 4 * d);
        double epsilon = config.epsilonOr("layer_norm_epsilon", 1e-5);
        var sizes = new ModelConfig("gptj", layers, heads, heads, d, Sizes.headWidth(config, d, heads), mlp,
                config.requireSize("vocab_size"), config.requireSize("n_positions"));
        config.ignore("rotary", "scale_attn_weights");
        int turning = config.isNull("rotary_dim") ? 0 : config.sizeOr("rotary_dim", 64);
        if (turning == 0 || turning % 2 != 0 || turning > sizes.dHead()) {
            throw config.refuse("rotary_dim", "is " + turning + ", expected an even number up to the width of a head, "
                    + sizes.dHead());
        }
        var rotary = new Rotary(RotaryStyle.INTERLEAVED, Rotary.frequencies(10000, turning), 1);
        String prefix = parts.checkpoint().detectPrefix("wte.weight", "transformer.", "");
        Tensor tokens = parts.tensor(prefix + "wte.weight", sizes.dVocab(), d);
        Norm last = parts.layerNorm(prefix + "ln_f", d, epsilon);
        return parts.transformer(sizes, new Embedding(tokens, 1, Optional.empty(), Optional.empty()),
                l -> block(parts, sizes, prefix + "h." + l, l, rotary, epsilon), last,
                parts.head("lm_head", prefix + "wte.weight", tokens, false, Parts.Bias.PRESENT));
    }

    private static Block block(
            Parts parts, ModelConfig sizes, String name, int layer, Rotary rotary, double epsilon) {
        int d = sizes.dModel();
        String attn = name + ".attn.";
        var projection = parts.separateQkv(attn, sizes, Parts.Bias.ABSENT);
        var attention = new Attention(projection, Optional.empty(), Optional.of(rotary),
                Parts.plainSpec(sizes),
                parts.linear(attn + "out_proj", d, d, Parts.Bias.ABSENT));
        var mlp = new Mlp.Plain(parts.linear(name + ".mlp.fc_in", d, sizes.dMlp(), Parts.Bias.PRESENT),
                parts.activation("activation_function", "gelu_new"),
                parts.linear(name + ".mlp.fc_out", sizes.dMlp(), d, Parts.Bias.PRESENT));
        Norm norm = parts.layerNorm(name + ".ln_1", d, epsilon);
        return new ParallelBlock(layer, attention, mlp, norm, norm);
    }
}

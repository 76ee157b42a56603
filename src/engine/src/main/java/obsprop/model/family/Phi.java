package obsprop.model.family;

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
import obsprop.model.layer.Rotary;
import obsprop.tensor.Tensor;

/** Phi-1 to Phi-2: parallel blocks with one norm for both, partial rotary, a head with a bias. */
final class Phi implements Family {
    @Override
    public Set<String> modelTypes() {
        return Set.of("phi");
    }

    @Override
    public Transformer build(Parts parts) {
        Config config = parts.config();
        int d = config.requireSize("hidden_size");
        int heads = config.requireSize("num_attention_heads");
        int layers = config.requireSize("num_hidden_layers");
        double epsilon = config.epsilonOr("layer_norm_eps", 1e-5);
        int width = Sizes.headWidth(config, d, heads);
        var sizes = new ModelConfig("phi", layers, heads, config.sizeOr("num_key_value_heads", heads), d, width,
                config.requireSize("intermediate_size"), config.requireSize("vocab_size"),
                config.requireSize("max_position_embeddings"));
        Config parameters = Rotaries.parameters(config);
        double fraction =
                parameters.doubleOr("partial_rotary_factor", config.doubleOr("partial_rotary_factor", 0.5));
        if (Rotaries.turning(config, width, fraction) % 2 != 0) {
            throw config.refuse("partial_rotary_factor", "makes an odd number of coordinates turn, of heads " + width + " wide");
        }
        Rotary rotary = Rotaries.halfSplit(config, width, fraction, 10000);
        String prefix = parts.checkpoint().detectPrefix("embed_tokens.weight", "model.", "");
        Tensor tokens = parts.tensor(prefix + "embed_tokens.weight", sizes.dVocab(), d);
        Norm last = parts.layerNorm(prefix + "final_layernorm", d, epsilon);
        return parts.transformer(sizes, new Embedding(tokens, 1, Optional.empty(), Optional.empty()),
                l -> block(parts, sizes, prefix + "layers." + l, l, rotary, epsilon), last,
                parts.head("lm_head", prefix + "embed_tokens.weight", tokens, false, Parts.Bias.PRESENT));
    }

    private static Block block(
            Parts parts, ModelConfig sizes, String name, int layer, Rotary rotary, double epsilon) {
        int d = sizes.dModel();
        String attn = name + ".self_attn.";
        var projection = parts.separateQkv(attn, sizes, Parts.Bias.PRESENT);
        var attention = new Attention(projection, Optional.empty(), Optional.of(rotary),
                Parts.plainSpec(sizes),
                parts.linear(attn + "dense", d, d, Parts.Bias.PRESENT));
        var mlp = new Mlp.Plain(parts.linear(name + ".mlp.fc1", d, sizes.dMlp(), Parts.Bias.PRESENT),
                parts.activation("hidden_act", "gelu_new"),
                parts.linear(name + ".mlp.fc2", sizes.dMlp(), d, Parts.Bias.PRESENT));
        Norm norm = parts.layerNorm(name + ".input_layernorm", d, epsilon);
        return new ParallelBlock(layer, attention, mlp, norm, norm);
    }
}

package obsprop.model.family;

import java.util.Optional;
import java.util.Set;
import obsprop.kernel.AttentionSpec;
import obsprop.model.Transformer;
import obsprop.model.io.Config;
import obsprop.model.layer.Attention;
import obsprop.model.layer.Block;
import obsprop.model.layer.Embedding;
import obsprop.model.layer.Mlp;
import obsprop.model.layer.Norm;
import obsprop.model.layer.Rotary;
import obsprop.model.layer.SequentialBlock;
import obsprop.tensor.Tensor;

/** StarCoder2: Llama's attention with LayerNorms, plain MLPs, biases, and a sliding window where the config has one. */
final class Starcoder2 implements Family {
    private static final LlamaParts.Defaults DEFAULTS = new LlamaParts.Defaults(49_152, 3072, 12_288, 30, 24, 2, 0, 4096, 1e-6);

    @Override
    public Set<String> modelTypes() {
        return Set.of("starcoder2");
    }

    @Override
    public Transformer build(Parts parts) {
        Config config = parts.config();
        config.ignore("norm_type", "activation_function", "layer_norm_epsilon", "scale_attn_weights",
                "attention_softmax_in_fp32", "scale_attention_softmax_in_fp32");
        LlamaParts llama = LlamaParts.of(parts, "starcoder2", DEFAULTS, 0);
        double epsilon = config.epsilonOr("norm_epsilon", 1e-5);
        Rotary rotary = Rotaries.halfSplit(config, llama.sizes().dHead(), 10000);
        Tensor tokens = parts.tensor(
                llama.prefix() + "embed_tokens.weight", llama.sizes().dVocab(), llama.sizes().dModel());
        Norm last = parts.layerNorm(llama.prefix() + "norm", llama.sizes().dModel(), epsilon);
        return parts.transformer(llama.sizes(), new Embedding(tokens, 1, Optional.empty(), Optional.empty()),
                l -> block(llama, l, rotary, epsilon), last,
                parts.head("lm_head", llama.prefix() + "embed_tokens.weight", tokens, true, Parts.Bias.ABSENT));
    }

    private static Block block(LlamaParts llama, int layer, Rotary rotary, double epsilon) {
        Parts parts = llama.parts();
        int d = llama.sizes().dModel();
        int wide = llama.sizes().dMlp();
        var bias = Parts.Bias.of(parts.config().booleanOr("use_bias", true));
        int window = parts.config().sizeOr("sliding_window", AttentionSpec.NO_WINDOW);
        var attention = new Attention(llama.projection(layer, bias), Optional.empty(), Optional.of(rotary),
                llama.windowedSpec(window), llama.output(layer, bias));
        var mlp = new Mlp.Plain(parts.linear(llama.name(layer, "mlp.c_fc"), d, wide, bias),
                parts.activation("hidden_act", "gelu_pytorch_tanh"),
                parts.linear(llama.name(layer, "mlp.c_proj"), wide, d, bias));
        return new SequentialBlock(layer, attention, mlp,
                parts.layerNorm(llama.name(layer, "input_layernorm"), d, epsilon), Norm.IDENTITY,
                parts.layerNorm(llama.name(layer, "post_attention_layernorm"), d, epsilon), Norm.IDENTITY);
    }
}

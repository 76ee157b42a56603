package obsprop.model.family;

import java.util.Optional;
import java.util.Set;
import obsprop.kernel.Activation;
import obsprop.kernel.AttentionSpec;
import obsprop.model.Transformer;
import obsprop.model.io.Config;
import obsprop.model.layer.Attention;
import obsprop.model.layer.Norm;
import obsprop.model.layer.Rotary;
import obsprop.model.layer.SequentialBlock;

/** Llama 1 to 3: RMS norms, grouped queries, SwiGLU; biases and rotary scaling by config. */
final class Llama implements Family {
    private static final LlamaParts.Defaults DEFAULTS = new LlamaParts.Defaults(32_000, 4096, 11_008, 32, 32, 0, 0, 2048, 1e-6);

    @Override
    public Set<String> modelTypes() {
        return Set.of("llama");
    }

    @Override
    public Transformer build(Parts parts) {
        Config config = parts.config();
        config.ignore("activation");
        LlamaParts llama = LlamaParts.of(parts, "llama", DEFAULTS, 0);
        var attentionBias = Parts.Bias.of(config.booleanOr("attention_bias", false));
        var mlpBias = Parts.Bias.of(config.booleanOr("mlp_bias", false));
        Activation f = parts.activation("hidden_act", "silu");
        Rotary rotary = Rotaries.halfSplit(config, llama.sizes().dHead(), 10000);
        return llama.transformer(l -> {
            var attention = new Attention(llama.projection(l, attentionBias), Optional.empty(), Optional.of(rotary),
                    llama.plainSpec(), llama.output(l, attentionBias));
            return new SequentialBlock(l, attention, llama.mlp(l, f, mlpBias),
                    llama.norm(l, "input_layernorm"), Norm.IDENTITY,
                    llama.norm(l, "post_attention_layernorm"), Norm.IDENTITY);
        }, 1, AttentionSpec.NO_CAP, false);
    }
}

package obsprop.model.family;

import java.util.Optional;
import java.util.Set;
import obsprop.kernel.Activation;
import obsprop.kernel.AttentionSpec;
import obsprop.model.Transformer;
import obsprop.model.io.Config;
import obsprop.model.layer.Attention;
import obsprop.model.layer.Norm;
import obsprop.model.layer.QueryKeyNorm;
import obsprop.model.layer.Rotary;
import obsprop.model.layer.SequentialBlock;

/** OLMo 2: norms after the sublayers only, and on the whole query and key projections. */
final class Olmo2 implements Family {
    private static final LlamaParts.Defaults DEFAULTS = new LlamaParts.Defaults(50_304, 4096, 11_008, 32, 32, 0, 0, 2048, 1e-5);

    @Override
    public Set<String> modelTypes() {
        return Set.of("olmo2");
    }

    @Override
    public Transformer build(Parts parts) {
        Config config = parts.config();
        LlamaParts llama = LlamaParts.of(parts, "olmo2", DEFAULTS, 0);
        var bias = Parts.Bias.of(config.booleanOr("attention_bias", false));
        int width = llama.sizes().dHead();
        Activation f = parts.activation("hidden_act", "silu");
        Rotary rotary = Rotaries.halfSplit(config, width, 10000);
        return llama.transformer(l -> {
            var norms = new QueryKeyNorm(
                    llama.headNorm(l, "self_attn.q_norm", llama.sizes().nHeads() * width),
                    llama.headNorm(l, "self_attn.k_norm", llama.sizes().nKvHeads() * width),
                    QueryKeyNorm.Reach.ALL_HEADS);
            var attention = new Attention(llama.projection(l, bias), Optional.of(norms), Optional.of(rotary),
                    llama.plainSpec(), llama.output(l, bias));
            return new SequentialBlock(l, attention, llama.mlp(l, f, Parts.Bias.ABSENT),
                    Norm.IDENTITY, llama.norm(l, "post_attention_layernorm"),
                    Norm.IDENTITY, llama.norm(l, "post_feedforward_layernorm"));
        }, 1, AttentionSpec.NO_CAP, false);
    }
}

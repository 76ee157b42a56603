package obsprop.model.family;

import java.util.Optional;
import java.util.Set;
import obsprop.kernel.Activation;
import obsprop.kernel.AttentionSpec;
import obsprop.model.Transformer;
import obsprop.model.io.Config;
import obsprop.model.layer.Attention;
import obsprop.model.layer.Rotary;
import obsprop.model.layer.SequentialBlock;

/** Gemma 2: norms before and after both sublayers, soft caps, every other layer sliding. */
final class Gemma2 implements Family {
    private static final LlamaParts.Defaults DEFAULTS = new LlamaParts.Defaults(256_000, 2304, 9216, 26, 8, 4, 256, 8192, 1e-6);

    @Override
    public Set<String> modelTypes() {
        return Set.of("gemma2");
    }

    @Override
    public Transformer build(Parts parts) {
        Config config = parts.config();
        LlamaParts llama = LlamaParts.of(parts, "gemma2", DEFAULTS, 1);
        var bias = Parts.Bias.of(config.booleanOr("attention_bias", false));
        config.ignore("hidden_act", "sliding_window_size");
        Activation f = parts.activation("hidden_activation", "gelu_pytorch_tanh");
        Rotary rotary = Rotaries.halfSplit(config, llama.sizes().dHead(), 10000);
        SlidingWindows windows = SlidingWindows.of(
                config, llama.sizes().nLayers(), l -> l % 2 == 0, config.sizeOr("sliding_window", 4096));
        double scale = 1 / Math.sqrt(config.positiveOr("query_pre_attn_scalar", 256));
        double scoreCap = cap(config, "attn_logit_softcapping", 50);
        return llama.transformer(l -> {
            var spec = new AttentionSpec(scale, windows.window(l), scoreCap);
            var attention = new Attention(llama.projection(l, bias), Optional.empty(), Optional.of(rotary), spec,
                    llama.output(l, bias));
            return new SequentialBlock(l, attention, llama.mlp(l, f, Parts.Bias.ABSENT),
                    llama.norm(l, "input_layernorm"), llama.norm(l, "post_attention_layernorm"),
                    llama.norm(l, "pre_feedforward_layernorm"), llama.norm(l, "post_feedforward_layernorm"));
        }, Gemma.embeddingScale(llama), cap(config, "final_logit_softcapping", 30), true);
    }

    /** A soft cap; null switches it off. */
    static double cap(Config config, String key, double otherwise) {
        return config.isNull(key) ? AttentionSpec.NO_CAP : config.positiveOr(key, otherwise);
    }
}

package obsprop.model.family;

import java.util.Optional;
import java.util.Set;
import obsprop.kernel.Activation;
import obsprop.kernel.AttentionSpec;
import obsprop.model.Transformer;
import obsprop.model.io.Config;
import obsprop.model.layer.Attention;
import obsprop.model.layer.QueryKeyNorm;
import obsprop.model.layer.Rotary;
import obsprop.model.layer.SequentialBlock;

/** Gemma 3 (text): as Gemma 2 with norms on queries and keys, and two rotary bases, local and global. */
final class Gemma3 implements Family {
    private static final LlamaParts.Defaults DEFAULTS = new LlamaParts.Defaults(262_208, 2304, 9216, 26, 8, 4, 256, 131_072, 1e-6);

    @Override
    public Set<String> modelTypes() {
        return Set.of("gemma3_text");
    }

    @Override
    public Transformer build(Parts parts) {
        Config config = parts.config();
        LlamaParts llama = LlamaParts.of(parts, "gemma3_text", DEFAULTS, 1);
        int width = llama.sizes().dHead();
        var bias = Parts.Bias.of(config.booleanOr("attention_bias", false));
        config.ignore("hidden_act", "attn_logit_softcapping");
        Activation f = parts.activation("hidden_activation", "gelu_pytorch_tanh");
        int pattern = config.sizeOr("sliding_window_pattern", config.sizeOr("_sliding_window_pattern", 6));
        SlidingWindows windows = SlidingWindows.of(config, llama.sizes().nLayers(),
                l -> (l + 1) % pattern != 0, config.sizeOr("sliding_window", 4096));
        Rotary local = rotary(config, "sliding_attention", "rope_local_base_freq", 10_000, width);
        Rotary global = rotary(config, "full_attention", "rope_theta", 1_000_000, width);
        double scale = 1 / Math.sqrt(config.positiveOr("query_pre_attn_scalar", 256));
        return llama.transformer(l -> {
            var headNorms = new QueryKeyNorm(
                    llama.headNorm(l, "self_attn.q_norm", width), llama.headNorm(l, "self_attn.k_norm", width),
                    QueryKeyNorm.Reach.HEAD);
            var attention = new Attention(llama.projection(l, bias), Optional.of(headNorms),
                    Optional.of(windows.slides(l) ? local : global),
                    new AttentionSpec(scale, windows.window(l), AttentionSpec.NO_CAP), llama.output(l, bias));
            return new SequentialBlock(l, attention, llama.mlp(l, f, Parts.Bias.ABSENT),
                    llama.norm(l, "input_layernorm"), llama.norm(l, "post_attention_layernorm"),
                    llama.norm(l, "pre_feedforward_layernorm"), llama.norm(l, "post_feedforward_layernorm"));
        }, Gemma.embeddingScale(llama), config.positiveOr("final_logit_softcapping", AttentionSpec.NO_CAP), true);
    }

    /** The settings of one kind of layer; the older form scales the global rotation only. */
    private static Rotary rotary(Config config, String kind, String olderKey, double theta, int width) {
        Rotaries.requireOneForm(config);
        double olderTheta = config.positiveOr(olderKey, theta);
        Optional<Config> present = config.object("rope_parameters").flatMap(p -> p.object(kind));
        if (present.isPresent()) {
            return Rotaries.scaled(config, present.get(), present.get().positiveOr("rope_theta", olderTheta), width);
        }
        Optional<Config> scaling = config.object("rope_scaling").filter(_ -> kind.equals("full_attention"));
        if (scaling.isEmpty()) {
            return Rotaries.scaled(config, config, olderTheta, width);
        }
        if (!scaling.get().isPresent("rope_type")) {
            throw config.refuse("rope_scaling", "has no rope_type, without which the reference implementation does not scale:"
                    + " add it, or leave rope_scaling out");
        }
        return Rotaries.scaled(config, scaling.get(), scaling.get().positiveOr("rope_theta", olderTheta), width);
    }
}

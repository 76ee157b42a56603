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

/** Qwen 2 (biases on q, k, v) and Qwen 3 (norms on each head's query and key instead). */
final class Qwen implements Family {
    private static final LlamaParts.Defaults SECOND =
            new LlamaParts.Defaults(151_936, 4096, 22_016, 32, 32, 32, 0, 32_768, 1e-6);
    private static final LlamaParts.Defaults THIRD =
            new LlamaParts.Defaults(151_936, 4096, 22_016, 32, 32, 32, 128, 32_768, 1e-6);

    @Override
    public Set<String> modelTypes() {
        return Set.of("qwen2", "qwen3");
    }

    @Override
    public Transformer build(Parts parts) {
        Config config = parts.config();
        boolean third = config.requireString("model_type").equals("qwen3");
        LlamaParts llama = LlamaParts.of(parts, third ? "qwen3" : "qwen2", third ? THIRD : SECOND, 0);
        int width = llama.sizes().dHead();
        boolean asked = config.booleanOr("attention_bias", false); // the reference does not ask Qwen 2
        var bias = Parts.Bias.of(!third || asked);
        var outputBias = third ? bias : Parts.Bias.ABSENT;
        Activation f = parts.activation("hidden_act", "silu");
        Rotary rotary = Rotaries.halfSplit(config, width, 10000);
        SlidingWindows windows = windows(config, llama.sizes().nLayers());
        return llama.transformer(l -> {
            Optional<QueryKeyNorm> headNorms = third
                    ? Optional.of(new QueryKeyNorm(
                            llama.headNorm(l, "self_attn.q_norm", width),
                            llama.headNorm(l, "self_attn.k_norm", width),
                            QueryKeyNorm.Reach.HEAD))
                    : Optional.empty();
            var attention = new Attention(llama.projection(l, bias), headNorms, Optional.of(rotary),
                    llama.windowedSpec(windows.window(l)), llama.output(l, outputBias));
            return new SequentialBlock(l, attention, llama.mlp(l, f, Parts.Bias.ABSENT),
                    llama.norm(l, "input_layernorm"), Norm.IDENTITY,
                    llama.norm(l, "post_attention_layernorm"), Norm.IDENTITY);
        }, 1, AttentionSpec.NO_CAP, false);
    }

    /** Windows only where use_sliding_window asks for them, and then from layer max_window_layers on. */
    private static SlidingWindows windows(Config config, int layers) {
        boolean used = config.booleanOr("use_sliding_window", false) && !config.isNull("sliding_window");
        int first = config.intOr("max_window_layers", 28);
        int window = config.sizeOr("sliding_window", 4096); // read even if not used: published files have both keys
        return SlidingWindows.of(config, layers, l -> used && l >= first, used ? window : AttentionSpec.NO_WINDOW);
    }
}

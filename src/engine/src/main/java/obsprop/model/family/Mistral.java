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

/** Mistral: Llama with a sliding window, unless the config sets it to null. */
final class Mistral implements Family {
    private static final LlamaParts.Defaults DEFAULTS = new LlamaParts.Defaults(32_000, 4096, 14_336, 32, 32, 8, 0, 131_072, 1e-6);

    @Override
    public Set<String> modelTypes() {
        return Set.of("mistral");
    }

    @Override
    public Transformer build(Parts parts) {
        Config config = parts.config();
        LlamaParts llama = LlamaParts.of(parts, "mistral", DEFAULTS, 0);
        Activation f = parts.activation("hidden_act", "silu");
        Rotary rotary = Rotaries.halfSplit(config, llama.sizes().dHead(), 10000);
        int window = config.isNull("sliding_window") ? AttentionSpec.NO_WINDOW : config.sizeOr("sliding_window", 4096);
        SlidingWindows windows = SlidingWindows.of(config, llama.sizes().nLayers(), l -> true, window);
        return llama.transformer(l -> {
            var attention = new Attention(llama.projection(l, Parts.Bias.ABSENT), Optional.empty(),
                    Optional.of(rotary), llama.windowedSpec(windows.window(l)), llama.output(l, Parts.Bias.ABSENT));
            return new SequentialBlock(l, attention, llama.mlp(l, f, Parts.Bias.ABSENT),
                    llama.norm(l, "input_layernorm"), Norm.IDENTITY,
                    llama.norm(l, "post_attention_layernorm"), Norm.IDENTITY);
        }, 1, AttentionSpec.NO_CAP, false);
    }
}

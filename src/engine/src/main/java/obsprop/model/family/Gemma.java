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
import obsprop.tensor.Tensor;

/** Gemma: RMS gains stored minus 1, the embedding scaled by sqrt(d), GeGLU. */
final class Gemma implements Family {
    private static final LlamaParts.Defaults DEFAULTS = new LlamaParts.Defaults(256_000, 3072, 24_576, 28, 16, 16, 256, 8192, 1e-6);

    @Override
    public Set<String> modelTypes() {
        return Set.of("gemma");
    }

    @Override
    public Transformer build(Parts parts) {
        Config config = parts.config();
        LlamaParts llama = LlamaParts.of(parts, "gemma", DEFAULTS, 1);
        var bias = Parts.Bias.of(config.booleanOr("attention_bias", false));
        Activation f = activation(parts);
        Rotary rotary = Rotaries.halfSplit(config, llama.sizes().dHead(), 10000);
        return llama.transformer(l -> {
            var attention = new Attention(llama.projection(l, bias), Optional.empty(), Optional.of(rotary),
                    llama.plainSpec(), llama.output(l, bias));
            return new SequentialBlock(l, attention, llama.mlp(l, f, Parts.Bias.ABSENT),
                    llama.norm(l, "input_layernorm"), Norm.IDENTITY,
                    llama.norm(l, "post_attention_layernorm"), Norm.IDENTITY);
        }, embeddingScale(llama), AttentionSpec.NO_CAP, true);
    }

    /** The first release says "gelu" in hidden_act and means the tanh form, as its models were trained. */
    private static Activation activation(Parts parts) {
        Activation named = parts.activation("hidden_act", "gelu_pytorch_tanh");
        Activation f = named == Activation.GELU_ERF ? Activation.GELU_TANH : named;
        Config config = parts.config();
        if (config.isPresent("hidden_activation") && parts.activation("hidden_activation", "") != f) {
            throw config.refuse("hidden_activation", "contradicts hidden_act, and which of the two the reference implementation"
                    + " follows has changed over time: leave one out");
        }
        return f;
    }

    /** sqrt(d), rounded to the type of the embedding as the reference implementation does. */
    static double embeddingScale(LlamaParts llama) {
        float exact = (float) Math.sqrt(llama.sizes().dModel());
        return switch (llama.embeddingType()) {
            case BF16 -> Float.intBitsToFloat(Tensor.floatToBf16(exact) << 16);
            case F16 -> Float.float16ToFloat(Float.floatToFloat16(exact));
            default -> exact;
        };
    }
}

package obsprop.model.family;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import obsprop.kernel.AttentionSpec;
import obsprop.model.ModelConfig;
import obsprop.model.Transformer;
import obsprop.model.io.Config;
import obsprop.model.layer.Attention;
import obsprop.model.layer.Block;
import obsprop.model.layer.Embedding;
import obsprop.model.layer.Mlp;
import obsprop.model.layer.Norm;
import obsprop.model.layer.SequentialBlock;
import obsprop.tensor.Tensor;
import obsprop.tensor.io.Json;

/** GPT-Neo: scores are not scaled, layers alternate between global and local attention. */
final class GptNeo implements Family {
    @Override
    public Set<String> modelTypes() {
        return Set.of("gpt_neo");
    }

    @Override
    public Transformer build(Parts parts) {
        Config config = parts.config();
        int d = config.requireSize("hidden_size");
        int heads = config.requireSize("num_heads");
        int layers = config.requireSize("num_layers");
        int mlp = config.sizeOr("intermediate_size", 4 * d);
        double epsilon = config.epsilonOr("layer_norm_epsilon", 1e-5);
        var sizes = new ModelConfig("gpt_neo", layers, heads, heads, d, Sizes.headWidth(config, d, heads), mlp,
                config.requireSize("vocab_size"), config.requireSize("max_position_embeddings"));
        List<String> kinds = attentionKinds(config, layers);
        String prefix = parts.checkpoint().detectPrefix("wte.weight", "transformer.", "");
        Tensor tokens = parts.tensor(prefix + "wte.weight", sizes.dVocab(), d);
        Tensor positions = parts.tensor(prefix + "wpe.weight", sizes.maxPositions(), d);
        Norm last = parts.layerNorm(prefix + "ln_f", d, epsilon);
        return parts.transformer(sizes, new Embedding(tokens, 1, Optional.empty(), Optional.of(positions)),
                l -> block(parts, sizes, prefix + "h." + l, l, kinds.get(l), epsilon), last,
                parts.head("lm_head", prefix + "wte.weight", tokens, true, Parts.Bias.ABSENT));
    }

    private static Block block(
            Parts parts, ModelConfig sizes, String name, int layer, String kind, double epsilon) {
        int d = sizes.dModel();
        int local = parts.config().sizeOr("window_size", 256); // read by every layer, or it would count as not understood
        int window = switch (kind) {
            case "global" -> AttentionSpec.NO_WINDOW;
            case "local" -> local;
            default -> throw parts.config().refuse("attention_layers",
                    "has \"" + kind + "\" at layer " + layer + ", expected \"global\" or \"local\"");
        };
        String attn = name + ".attn.attention.";
        var projection = parts.separateQkv(attn, sizes, Parts.Bias.ABSENT);
        var attention = new Attention(projection, Optional.empty(), Optional.empty(),
                new AttentionSpec(1, window, AttentionSpec.NO_CAP),
                parts.linear(attn + "out_proj", d, d, Parts.Bias.PRESENT));
        var mlp = new Mlp.Plain(parts.linear(name + ".mlp.c_fc", d, sizes.dMlp(), Parts.Bias.PRESENT),
                parts.activation("activation_function", "gelu_new"),
                parts.linear(name + ".mlp.c_proj", sizes.dMlp(), d, Parts.Bias.PRESENT));
        return new SequentialBlock(layer, attention, mlp,
                parts.layerNorm(name + ".ln_1", d, epsilon), Norm.IDENTITY,
                parts.layerNorm(name + ".ln_2", d, epsilon), Norm.IDENTITY);
    }

    /** {@code attention_layers}, or the older {@code attention_types}: [[["global", "local"], 12]]. */
    private static List<String> attentionKinds(Config config, int layers) {
        List<String> kinds = config.isPresent("attention_layers")
                ? config.strings("attention_layers")
                : expand(config, layers);
        if (kinds.size() != layers) {
            throw config.refuse(config.isPresent("attention_layers") ? "attention_layers" : "attention_types",
                    "describes " + (kinds.size() > layers ? "more than " + layers : kinds.size()) + " layers, but num_layers is " + layers);
        }
        return kinds;
    }

    /** What {@code attention_types} describes, as far as one layer too many. */
    private static List<String> expand(Config config, int layers) {
        List<String> kinds = new ArrayList<>();
        Json types = config.value("attention_types").orElse(new Json.Arr(List.of()));
        if (types instanceof Json.Arr(List<Json> runs)) {
            for (Json run : runs) {
                if (run instanceof Json.Arr(List<Json> pair) && pair.size() == 2
                        && pair.get(0) instanceof Json.Arr(List<Json> pattern)
                        && pair.get(1) instanceof Json.Num times) {
                    for (int i = config.integer("attention_types", times); i > 0 && kinds.size() <= layers; i--) {
                        pattern.forEach(kind -> kinds.add(kind instanceof Json.Str(String s) ? s : kind.describe()));
                    }
                } else {
                    throw config.refuse("attention_types", "has " + run.describe()
                            + ", expected [[\"global\", \"local\"], number of times]");
                }
            }
        }
        return kinds;
    }
}

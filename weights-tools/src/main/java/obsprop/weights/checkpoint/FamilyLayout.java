package obsprop.weights.checkpoint;

import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import obsprop.model.io.Config;
import obsprop.tensor.io.FormatException;
import obsprop.weights.checkpoint.TensorSpec.Role;

/** Which parameters, of which names and shapes, a config.json implies: one method a family of names. */
public final class FamilyLayout {
    private static final Set<String> LLAMA_LIKE = Set.of(
            "llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text", "olmo2");
    private static final Set<String> OTHERS = Set.of("gpt2", "gpt_neo", "gptj", "gpt_neox", "opt", "phi", "starcoder2");

    private final Config config;
    private final List<TensorSpec> specs = new ArrayList<>();

    private FamilyLayout(Config config) {
        this.config = config;
    }

    /**
     * The parameters of a model, in the order in which they are used.
     *
     * @throws obsprop.tensor.io.FormatException if the family is unknown, or a size is missing or impossible
     */
    public static List<TensorSpec> of(Config config) {
        // Divided by, before shapes tell that they are impossible.
        List.of("n_head", "num_heads", "num_attention_heads").forEach(heads -> config.sizeOr(heads, 1));
        FamilyLayout layout = new FamilyLayout(config);
        String type = config.requireString("model_type");
        switch (type) {
            case "gpt2" -> layout.gpt2();
            case "gpt_neo" -> layout.gptNeo();
            case "gptj" -> layout.gptJ();
            case "gpt_neox" -> layout.gptNeoX();
            case "opt" -> layout.opt();
            case "phi" -> layout.phi();
            case "starcoder2" -> layout.starcoder2();
            default -> {
                if (!LLAMA_LIKE.contains(type)) {
                    throw config.refuse("model_type", "'" + type + "' is unknown, expected one of "
                            + String.join(", ", families()));
                }
                new LlamaLayout(config, layout, type).add();
            }
        }
        layout.requirePossible();
        return List.copyOf(layout.specs);
    }

    private void requirePossible() {
        for (TensorSpec spec : specs) {
            if (spec.shape().stream().anyMatch(size -> size < 1)) {
                throw new FormatException(config.where() + ": implies a tensor " + spec.name() + " of shape " + spec.shape()
                        + ": all sizes have to be 1 or more");
            }
        }
        if (specs.stream().noneMatch(spec -> spec.role() == Role.OUTPUT_WEIGHT)) {
            throw new FormatException(config.where() + ": implies a model without layers: give it 1 or more");
        }
    }

    /** The values of {@code model_type} that are known, sorted. */
    public static TreeSet<String> families() {
        TreeSet<String> families = new TreeSet<>(LLAMA_LIKE);
        families.addAll(OTHERS);
        return families;
    }

    /** What the names of a base model of this family, saved without its head, lack. */
    public static String prefix(Config config) {
        return switch (config.requireString("model_type")) {
            case "gpt2", "gpt_neo", "gptj" -> "transformer.";
            case "gpt_neox" -> "gpt_neox.";
            default -> "model.";
        };
    }

    private void gpt2() {
        int d = config.requireInt("n_embd");
        int mlp = config.intOr("n_inner", 4 * d);
        embedding("transformer.wte", config.requireInt("vocab_size"), d);
        embedding("transformer.wpe", config.requireInt("n_positions"), d);
        for (int l = 0; l < config.requireInt("n_layer"); l++) {
            String h = "transformer.h." + l;
            layerNorm(h + ".ln_1", d);
            conv1d(h + ".attn.c_attn", Role.WEIGHT, d, 3 * d);
            conv1d(h + ".attn.c_proj", Role.OUTPUT_WEIGHT, d, d);
            layerNorm(h + ".ln_2", d);
            conv1d(h + ".mlp.c_fc", Role.WEIGHT, d, mlp);
            conv1d(h + ".mlp.c_proj", Role.OUTPUT_WEIGHT, mlp, d);
        }
        layerNorm("transformer.ln_f", d);
        head("lm_head", d, true, false);
    }

    private void gptNeo() {
        int d = config.requireInt("hidden_size");
        int mlp = config.intOr("intermediate_size", 4 * d);
        embedding("transformer.wte", config.requireInt("vocab_size"), d);
        embedding("transformer.wpe", config.requireInt("max_position_embeddings"), d);
        for (int l = 0; l < config.requireInt("num_layers"); l++) {
            String h = "transformer.h." + l;
            layerNorm(h + ".ln_1", d);
            for (String part : List.of("q_proj", "k_proj", "v_proj")) {
                linear(h + ".attn.attention." + part, Role.WEIGHT, d, d, false);
            }
            linear(h + ".attn.attention.out_proj", Role.OUTPUT_WEIGHT, d, d, true);
            layerNorm(h + ".ln_2", d);
            linear(h + ".mlp.c_fc", Role.WEIGHT, d, mlp, true);
            linear(h + ".mlp.c_proj", Role.OUTPUT_WEIGHT, mlp, d, true);
        }
        layerNorm("transformer.ln_f", d);
        head("lm_head", d, true, false);
    }

    private void gptJ() {
        int d = config.requireInt("n_embd");
        int mlp = config.intOr("n_inner", 4 * d);
        embedding("transformer.wte", config.requireInt("vocab_size"), d);
        for (int l = 0; l < config.requireInt("n_layer"); l++) {
            String h = "transformer.h." + l;
            layerNorm(h + ".ln_1", d);
            for (String part : List.of("q_proj", "k_proj", "v_proj")) {
                linear(h + ".attn." + part, Role.WEIGHT, d, d, false);
            }
            linear(h + ".attn.out_proj", Role.OUTPUT_WEIGHT, d, d, false);
            linear(h + ".mlp.fc_in", Role.WEIGHT, d, mlp, true);
            linear(h + ".mlp.fc_out", Role.OUTPUT_WEIGHT, mlp, d, true);
        }
        layerNorm("transformer.ln_f", d);
        head("lm_head", d, false, true);
    }

    private void gptNeoX() {
        int d = config.requireInt("hidden_size");
        int mlp = config.requireInt("intermediate_size");
        boolean bias = config.booleanOr("attention_bias", true);
        embedding("gpt_neox.embed_in", config.requireInt("vocab_size"), d);
        for (int l = 0; l < config.requireInt("num_hidden_layers"); l++) {
            String h = "gpt_neox.layers." + l;
            layerNorm(h + ".input_layernorm", d);
            linear(h + ".attention.query_key_value", Role.WEIGHT, d, 3 * d, bias);
            linear(h + ".attention.dense", Role.OUTPUT_WEIGHT, d, d, bias);
            layerNorm(h + ".post_attention_layernorm", d);
            linear(h + ".mlp.dense_h_to_4h", Role.WEIGHT, d, mlp, true);
            linear(h + ".mlp.dense_4h_to_h", Role.OUTPUT_WEIGHT, mlp, d, true);
        }
        layerNorm("gpt_neox.final_layer_norm", d);
        head("embed_out", d, false, false);
    }

    private void opt() {
        int d = config.requireInt("hidden_size");
        int narrow = config.intOr("word_embed_proj_dim", d);
        boolean before = config.booleanOr("do_layer_norm_before", true);
        boolean bias = config.booleanOr("enable_bias", true);
        int offset = 2;
        embedding("model.decoder.embed_tokens", config.requireInt("vocab_size"), narrow);
        embedding("model.decoder.embed_positions", config.requireInt("max_position_embeddings") + offset, d);
        if (narrow != d) {
            linear("model.decoder.project_in", Role.WEIGHT, narrow, d, false);
        }
        for (int l = 0; l < config.requireInt("num_hidden_layers"); l++) {
            String h = "model.decoder.layers." + l;
            layerNorm(h + ".self_attn_layer_norm", d);
            for (String part : List.of("q_proj", "k_proj", "v_proj")) {
                linear(h + ".self_attn." + part, Role.WEIGHT, d, d, bias);
            }
            linear(h + ".self_attn.out_proj", Role.OUTPUT_WEIGHT, d, d, bias);
            layerNorm(h + ".final_layer_norm", d);
            linear(h + ".fc1", Role.WEIGHT, d, config.requireInt("ffn_dim"), bias);
            linear(h + ".fc2", Role.OUTPUT_WEIGHT, config.requireInt("ffn_dim"), d, bias);
        }
        if (before && !config.booleanOr("_remove_final_layer_norm", false)) {
            layerNorm("model.decoder.final_layer_norm", d);
        }
        if (narrow != d) {
            linear("model.decoder.project_out", Role.WEIGHT, d, narrow, false);
        }
        head("lm_head", narrow, true, false);
    }

    private void phi() {
        int d = config.requireInt("hidden_size");
        int heads = config.requireInt("num_attention_heads");
        int kv = d / heads * config.intOr("num_key_value_heads", heads);
        int mlp = config.requireInt("intermediate_size");
        embedding("model.embed_tokens", config.requireInt("vocab_size"), d);
        for (int l = 0; l < config.requireInt("num_hidden_layers"); l++) {
            String h = "model.layers." + l;
            layerNorm(h + ".input_layernorm", d);
            linear(h + ".self_attn.q_proj", Role.WEIGHT, d, d, true);
            linear(h + ".self_attn.k_proj", Role.WEIGHT, d, kv, true);
            linear(h + ".self_attn.v_proj", Role.WEIGHT, d, kv, true);
            linear(h + ".self_attn.dense", Role.OUTPUT_WEIGHT, d, d, true);
            linear(h + ".mlp.fc1", Role.WEIGHT, d, mlp, true);
            linear(h + ".mlp.fc2", Role.OUTPUT_WEIGHT, mlp, d, true);
        }
        layerNorm("model.final_layernorm", d);
        head("lm_head", d, false, true);
    }

    private void starcoder2() {
        int d = config.requireInt("hidden_size");
        int heads = config.requireInt("num_attention_heads");
        int width = config.intOr("head_dim", d / heads);
        int kv = width * config.intOr("num_key_value_heads", heads);
        int mlp = config.requireInt("intermediate_size");
        boolean bias = config.booleanOr("use_bias", true);
        embedding("model.embed_tokens", config.requireInt("vocab_size"), d);
        for (int l = 0; l < config.requireInt("num_hidden_layers"); l++) {
            String h = "model.layers." + l;
            layerNorm(h + ".input_layernorm", d);
            linear(h + ".self_attn.q_proj", Role.WEIGHT, d, heads * width, bias);
            linear(h + ".self_attn.k_proj", Role.WEIGHT, d, kv, bias);
            linear(h + ".self_attn.v_proj", Role.WEIGHT, d, kv, bias);
            linear(h + ".self_attn.o_proj", Role.OUTPUT_WEIGHT, heads * width, d, bias);
            layerNorm(h + ".post_attention_layernorm", d);
            linear(h + ".mlp.c_fc", Role.WEIGHT, d, mlp, bias);
            linear(h + ".mlp.c_proj", Role.OUTPUT_WEIGHT, mlp, d, bias);
        }
        layerNorm("model.norm", d);
        head("lm_head", d, true, false);
    }

    void embedding(String name, int rows, int width) {
        specs.add(new TensorSpec(name + ".weight", Role.EMBEDDING, 1, List.of(rows, width)));
    }

    void linear(String name, Role role, int in, int out, boolean bias) {
        specs.add(new TensorSpec(name + ".weight", role, in, List.of(out, in)));
        if (bias) {
            specs.add(new TensorSpec(name + ".bias", Role.BIAS, 1, List.of(out)));
        }
    }

    private void conv1d(String name, Role role, int in, int out) {
        specs.add(new TensorSpec(name + ".weight", role, in, List.of(in, out)));
        specs.add(new TensorSpec(name + ".bias", Role.BIAS, 1, List.of(out)));
    }

    private void layerNorm(String name, int width) {
        specs.add(new TensorSpec(name + ".weight", Role.GAIN, 1, List.of(width)));
        specs.add(new TensorSpec(name + ".bias", Role.BIAS, 1, List.of(width)));
    }

    void rmsNorm(String name, Role role, int width) {
        specs.add(new TensorSpec(name + ".weight", role, 1, List.of(width)));
    }

    /** The unembedding, unless it is the embedding. */
    void head(String name, int width, boolean tiedByDefault, boolean bias) {
        if (!config.booleanOr("tie_word_embeddings", tiedByDefault)) {
            linear(name, Role.WEIGHT, width, config.requireInt("vocab_size"), bias);
        }
    }
}

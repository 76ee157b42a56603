package obsprop.weights.checkpoint;

import obsprop.model.io.Config;
import obsprop.weights.checkpoint.TensorSpec.Role;

/** The parameters of Llama and its many descendants. */
final class LlamaLayout {
    private final Config config;
    private final FamilyLayout layout;
    private final String type;
    private final int d;
    private final int dHead;
    private final int nHeads;
    private final int nKvHeads;
    private final Role gain;

    LlamaLayout(Config config, FamilyLayout layout, String type) {
        this.config = config;
        this.layout = layout;
        this.type = type;
        d = config.requireInt("hidden_size");
        nHeads = config.requireInt("num_attention_heads");
        nKvHeads = config.intOr("num_key_value_heads", nHeads);
        dHead = config.intOr("head_dim", type.startsWith("gemma") ? 256 : type.equals("qwen3") ? 128 : d / nHeads);
        gain = type.startsWith("gemma") ? Role.GAIN_MINUS_ONE : Role.GAIN;
    }

    void add() {
        layout.embedding("model.embed_tokens", config.requireInt("vocab_size"), d);
        for (int l = 0; l < config.requireInt("num_hidden_layers"); l++) {
            String h = "model.layers." + l;
            attention(h + ".self_attn");
            mlp(h + ".mlp");
            norms(h);
        }
        layout.rmsNorm("model.norm", gain, d);
        layout.head("lm_head", d, type.startsWith("gemma"), false);
    }

    private void attention(String name) {
        boolean all = config.booleanOr("attention_bias", false) && !type.equals("mistral") && !type.equals("qwen2");
        boolean qkv = all || type.equals("qwen2");
        layout.linear(name + ".q_proj", Role.WEIGHT, d, nHeads * dHead, qkv);
        layout.linear(name + ".k_proj", Role.WEIGHT, d, nKvHeads * dHead, qkv);
        layout.linear(name + ".v_proj", Role.WEIGHT, d, nKvHeads * dHead, qkv);
        layout.linear(name + ".o_proj", Role.OUTPUT_WEIGHT, nHeads * dHead, d, all);
        switch (type) {
            case "qwen3", "gemma3_text" -> {
                layout.rmsNorm(name + ".q_norm", gain, dHead);
                layout.rmsNorm(name + ".k_norm", gain, dHead);
            }
            case "olmo2" -> {
                layout.rmsNorm(name + ".q_norm", gain, nHeads * dHead);
                layout.rmsNorm(name + ".k_norm", gain, nKvHeads * dHead);
            }
            default -> { }
        }
    }

    private void mlp(String name) {
        int m = config.requireInt("intermediate_size");
        boolean bias = config.booleanOr("mlp_bias", false);
        layout.linear(name + ".gate_proj", Role.WEIGHT, d, m, bias);
        layout.linear(name + ".up_proj", Role.WEIGHT, d, m, bias);
        layout.linear(name + ".down_proj", Role.OUTPUT_WEIGHT, m, d, bias);
    }

    private void norms(String layer) {
        if (!type.equals("olmo2")) {
            layout.rmsNorm(layer + ".input_layernorm", gain, d);
        }
        layout.rmsNorm(layer + ".post_attention_layernorm", gain, d);
        if (type.equals("gemma2") || type.equals("gemma3_text")) {
            layout.rmsNorm(layer + ".pre_feedforward_layernorm", gain, d);
        }
        if (type.equals("gemma2") || type.equals("gemma3_text") || type.equals("olmo2")) {
            layout.rmsNorm(layer + ".post_feedforward_layernorm", gain, d);
        }
    }
}

package obsprop.model.family;

import java.util.List;
import java.util.Set;
import java.util.regex.Pattern;
import obsprop.model.io.Config;
import obsprop.tensor.io.Json;

/**
 * What becomes of config keys that no family asked for. A key that may change numerics is refused by name; training
 * settings, token ids, output formats and the like are ignored.
 */
final class ConfigCheck {
    /** Keys that look as if they mattered to the numbers of a text model's forward pass, but do not. */
    private static final Pattern HARMLESS = Pattern.compile(
            ".*dropout.*|.*(_drop|pdrop|layerdrop|_token_id|_token_index|init|_std)"
                    + "|_flash_attn_2_enabled|use_flash_attention|scan_(attention|layers|mlp|mlp_chunk_size)"
                    + "|output_(attentions|hidden_states)|_?attn_implementation(_internal|_autoset)?|use_cache"
                    + "|summary_.*|id2label|label2id|task_specific_params|pruned_heads|classifier.*|cache_implementation"
                    + "|rope_(parameters|scaling)\\.(.*\\.)?(rope_theta|rope_type|type|factor|finetuned|attn_factor"
                    + "|original_max_position_embeddings)"
                    + "|reorder_and_upcast_attn|pretraining_tp|rescale_.*|embd_.*"
                    + "|tie_encoder_decoder|is_decoder|is_encoder_decoder|cross_attention_hidden_size"
                    + "|max_window_layers|_sliding_window_pattern|n_ctx|attention_types|layer_types"
                    + "|max_position_embeddings|head_dim|vocab_size_per_layer_input");
    /** Parts of names of settings that change a forward pass. */
    private static final Pattern NUMERIC = Pattern.compile(
            ".*(attn|attention|rope|rotary|norm|scale|scaling|softcap|window|bias|expert|moe|quant|router|multiplier"
                    + "|_act|activation|mlp|head|layer|residual|logit|clip|_cap|position|alibi|embed|parallel|sparse).*");
    private static final Set<String> NEUTRAL_TEXT = Set.of("", "none", "default");

    private ConfigCheck() {}

    /** @throws obsprop.tensor.io.FormatException naming the first key that may matter and was not understood */
    static void requireUnderstood(Config config) {
        if (!config.booleanOr("is_causal", true)) {
            throw config.refuse("is_causal", "is false: attention to later tokens is not understood");
        }
        for (String key : config.unread()) {
            if (NUMERIC.matcher(key).matches() && !HARMLESS.matcher(key).matches() && !isNeutral(config, key)) {
                throw config.refuse(key, "is not understood for model_type \"" + config.stringOr("model_type", "")
                        + "\" and may change the model's numbers: refused rather than ignored");
            }
        }
    }

    private static boolean isNeutral(Config config, String key) {
        int dot = key.indexOf('.');
        if (dot >= 0) {
            return config.object(key.substring(0, dot))
                    .map(nested -> isNeutral(nested, key.substring(dot + 1)))
                    .orElse(false);
        }
        return switch (config.value(key).orElse(new Json.Null())) {
            case Json.Null _ -> true;
            case Json.Bool(boolean on) -> !on;
            case Json.Str(String text) -> NEUTRAL_TEXT.contains(text);
            case Json.Arr(List<Json> items) -> items.isEmpty();
            case Json.Obj(var members) -> members.isEmpty();
            case Json.Num(String text) -> Double.parseDouble(text) == 0;
        };
    }
}

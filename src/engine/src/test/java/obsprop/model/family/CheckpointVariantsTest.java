package obsprop.model.family;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.UnaryOperator;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import obsprop.kernel.Kernels;
import obsprop.kernel.scalar.ScalarKernels;
import obsprop.model.ActivationCache;
import obsprop.model.Transformer;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;
import obsprop.tensor.io.FormatException;
import obsprop.tensor.io.SafetensorsFile;
import obsprop.tensor.io.SafetensorsWriter;
import obsprop.testing.Golden;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

/** The forms in which real checkpoints of one model are saved, all made from the golden fixtures. */
class CheckpointVariantsTest {
    private static final Kernels KERNELS = ScalarKernels.float64();

    @TempDir
    Path directory;

    @ParameterizedTest
    @CsvSource({
        "gpt2, transformer.", "gpt_neo, transformer.", "gptj, transformer.", "gpt_neox, gpt_neox.", "opt, model.",
        "llama, model.", "qwen3, model.", "gemma2, model.", "olmo2, model.", "phi, model.",
        "starcoder2, model."
    })
    void modelPrefixMayBeMissing(String name, String prefix) {
        sameLogits(name, rewrite(name, tensors -> renamed(tensors, prefix, ""), UnaryOperator.identity()));
    }

    @Test
    void languageModelOfMultimodalWrapper() {
        Path wrapped = rewrite("gemma3_text", tensors -> {
            Map<String, Tensor> out = renamed(tensors, "model.", "language_model.model.");
            out.put("vision_tower.patch.weight", zeros(3, 4));
            out.put("image_newline", zeros(3, 4));
            out.put("multi_modal_projector.weight", zeros(2, 2));
            return out;
        }, json -> "{\"model_type\":\"gemma3\",\"text_config\":" + json + "}");
        sameLogits("gemma3_text", wrapped);
    }

    @Test
    void promptsThatAttendBothWaysAreRefused() {
        refused("model_type: is paligemma", "gemma", UnaryOperator.identity(),
                json -> "{\"model_type\":\"paligemma\",\"text_config\":" + json + "}");
    }

    @ParameterizedTest
    @CsvSource({
        "gpt2, transformer.h.0.attn.bias", "gpt2, transformer.h.1.attn.masked_bias",
        "gpt_neo, transformer.h.0.attn.attention.bias", "gpt_neox, gpt_neox.layers.0.attention.masked_bias",
        "gpt_neox, gpt_neox.layers.0.attention.rotary_emb.inv_freq", "llama, model.layers.0.self_attn.rotary_emb.inv_freq"
    })
    void buffersAreIgnored(String name, String buffer) {
        sameLogits(name, rewrite(name, tensors -> {
            tensors.put(buffer, zeros(1, 1));
            return tensors;
        }, UnaryOperator.identity()));
    }

    @Test
    void tiedHeadMayBeStored() {
        sameLogits("gpt2", rewrite("gpt2", tensors -> {
            tensors.put("lm_head.weight", tensors.get("transformer.wte.weight"));
            return tensors;
        }, UnaryOperator.identity()));
    }

    @ParameterizedTest
    @CsvSource({"llama, BF16", "llama, F16", "gpt2, BF16", "gpt_neox, F16", "gemma, F64"})
    void weightsKeepTheirType(String name, DType type) {
        Path narrow = rewrite(name, t -> converted(t, type), UnaryOperator.identity());
        Path wide = rewrite(name, t -> converted(converted(t, type), DType.F32), UnaryOperator.identity());
        assertArrayEquals(logits(name, wide), logits(name, narrow));
    }

    @Test
    void surplusMissingAndMisshapenTensorsAreNamed() {
        refused("transformer.h.0.extra", "gpt2", t -> {
            t.put("transformer.h.0.extra", zeros(1, 1));
            return t;
        }, UnaryOperator.identity());
        refused("transformer.ln_f.bias", "gpt2", t -> {
            t.remove("transformer.ln_f.bias");
            return t;
        }, UnaryOperator.identity());
        refused("transformer.wpe.weight", "gpt2", t -> {
            t.put("transformer.wpe.weight", zeros(5, 36));
            return t;
        }, UnaryOperator.identity());
    }

    @ParameterizedTest
    @ValueSource(strings = {
        "\"rope_scaling\":{\"rope_type\":\"longrope\",\"factor\":4.0},", "\"quantization_config\":{\"bits\":4},",
        "\"num_local_experts\":8,", "\"attention_multiplier\":0.5,", "\"clip_qkv\":8.0,", "\"residual_multiplier\":0.2,",
        "\"hidden_act\":\"snake\","
    })
    void settingsThatAreNotUnderstoodAreRefusedByName(String setting) {
        String key = setting.substring(1, setting.indexOf('"', 1));
        String expected = key.equals("rope_scaling") ? "rope_type" : key;
        refused(expected, "llama", UnaryOperator.identity(), json -> "{" + setting
                + json.replaceAll("\"(hidden_act|rope_parameters)\"\\s*:\\s*(\"[^\"]*\"|\\{[^}]*\\})\\s*,", "").substring(1));
    }

    @ParameterizedTest
    @ValueSource(strings = {
        "\"torch_dtype\":\"float32\",", "\"_attn_implementation_autoset\":true,", "\"attention_probs_dropout_prob\":0.1,",
        "\"task_specific_params\":{\"text\":{\"do_sample\":true}},", "\"output_hidden_states\":true,", "\"unknown\":3,"
    })
    void settingsThatDoNotMatterAreIgnored(String setting) {
        sameLogits("llama", rewrite("llama", UnaryOperator.identity(), json -> "{" + setting + json.substring(1)));
    }

    @ParameterizedTest
    @ValueSource(strings = {
        "\"norm_type\":\"layer_norm\",\"mlp_type\":\"default\",\"rms_norm_eps\":1e-05,",
        "\"scale_attn_weights\":true,\"attention_softmax_in_fp32\":true,\"activation_function\":\"gelu\","
    })
    void leftoversInPublishedStarcoder2AreIgnored(String settings) {
        sameLogits("starcoder2",
                rewrite("starcoder2", UnaryOperator.identity(), json -> "{" + settings + json.substring(1)));
    }

    @ParameterizedTest
    @ValueSource(strings = {"llama", "gemma3_text"})
    void bothFormsOfRotarySettingsAtOnceAreRefused(String name) {
        refused("rope_scaling", name, UnaryOperator.identity(),
                json -> "{\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":2.0}," + json.substring(1));
    }

    /** What would give numbers that the reference implementation does not give, or none. */
    @ParameterizedTest
    @CsvSource({
        "gptj, rotary_dim, 3", "gptj, rotary_dim, 1000", "gptj, rotary_dim, -2", "gptj, rotary_dim, null",
        "gpt_neox, head_dim, 7777", "llama, is_causal, false", "llama, rms_norm_eps, -1", "gpt2, layer_norm_epsilon, -1e-5",
        "gpt2, n_layer, 0", "gpt2, n_head, -1", "llama, num_hidden_layers, -1", "llama, max_position_embeddings, 0",
        "gemma2, query_pre_attn_scalar, 0", "gemma2, final_logit_softcapping, 0", "gemma2, attn_logit_softcapping, -1",
        "mistral, sliding_window, 0", "gpt_neo, window_size, 0", "gemma, hidden_activation, \"relu\"",
        "mistral, layer_types, [\"sliding_attention\"]"
    })
    void settingsThatMakeNoSenseAreRefusedByName(String name, String key, String value) {
        refused("config.json: " + key + ": ", name, UnaryOperator.identity(), json -> with(json, key, value));
    }

    @ParameterizedTest
    @CsvSource(delimiter = ';', value = {
        "gpt_neox; {\"rope_theta\": 10000, \"partial_rotary_factor\": 1.5}; partial_rotary_factor",
        "gpt_neox; {\"rope_theta\": 10000, \"partial_rotary_factor\": -1}; partial_rotary_factor",
        "phi; {\"rope_theta\": 10000, \"partial_rotary_factor\": 1.5}; partial_rotary_factor",
        "llama; {\"rope_theta\": 0}; rope_theta", "llama; {\"rope_theta\": -5}; rope_theta",
        "llama; {\"rope_theta\": 10, \"rope_type\": \"linear\", \"factor\": 0}; factor",
        "llama; {\"rope_theta\": 10, \"rope_type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 4, \"high_freq_factor\": 1,"
                + " \"original_max_position_embeddings\": 9}; high_freq_factor"
    })
    void rotationsThatMakeNoSenseAreRefusedByName(String name, String parameters, String key) {
        refused(key + ": ", name, UnaryOperator.identity(),
                json -> with(json.replaceFirst("(?s)\"rope_parameters\"\\s*:\\s*\\{[^}]*\\},", ""), "rope_parameters", parameters));
    }

    /** Keys of published files that the reference implementation does not read. */
    @ParameterizedTest
    @CsvSource({
        "gptj, rotary, true", "gptj, scale_attn_weights, true", "gemma2, sliding_window_size, 5",
        "gemma3_text, attn_logit_softcapping, 1.0", "qwen2, sliding_window, 131072", "qwen2, attention_bias, true", "qwen3, sliding_window, 131072", "gpt2, normalize_attention_scores, true",
        "gpt2, apply_query_key_layer_scaling, true", "opt, learned_embeddings, true", "llama, activation, \"swiglu\"",
        "llama, scan_mlp_chunk_size, 1024", "llama, _flash_attn_2_enabled, true", "gemma, hidden_activation, \"gelu_pytorch_tanh\""
    })
    void whatTheReferenceDoesNotReadHasNoEffect(String name, String key, String value) {
        sameLogits(name, rewrite(name, UnaryOperator.identity(), json -> with(json, key, value)));
    }

    @Test
    void layerTypesOfMistralSayWhichLayersSlide() {
        Path all = rewrite("mistral", UnaryOperator.identity(), json -> with(json, "sliding_window", "null"));
        int layers = Golden.open("mistral", Arena.ofAuto()).tensor("ov_feature").size(0);
        String full = "[" + "\"full_attention\",".repeat(layers - 1) + "\"full_attention\"]";
        Path listed = rewrite("mistral", UnaryOperator.identity(), json -> with(json, "layer_types", full));
        assertArrayEquals(logits("mistral", all), logits("mistral", listed));
        sameLogits("mistral", rewrite("mistral", UnaryOperator.identity(),
                json -> with(json, "layer_types", full.replace("full", "sliding"))));
    }

    /** As multimodal models leave out of their text part what is as usual. */
    @Test
    void sizesOfTheReferenceWhereAConfigDoesNotSay() {
        for (String name : new String[] {"llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text", "olmo2", "starcoder2"}) {
            String message = refused("has shape", name, UnaryOperator.identity(),
                    json -> json.replaceFirst("\"vocab_size\"\\s*:\\s*\\d+,", "").replaceFirst(",\\s*\"vocab_size\"\\s*:\\s*\\d+", ""));
            assertTrue(message.contains("embed_tokens"), message);
        }
    }

    @Test
    void aTiedHeadThatIsNotTheEmbeddingIsRefused() {
        for (String name : new String[] {"gpt2", "gemma"}) {
            refused("tie_word_embeddings: ", name, tensors -> {
                String embedding = tensors.keySet().stream().filter(n -> n.matches(".*(wte|embed_tokens)\\.weight")).findFirst().orElseThrow();
                int[] shape = tensors.get(embedding).shape();
                tensors.put("lm_head.weight", zeros(shape[0], shape[1]));
                return tensors;
            }, UnaryOperator.identity());
        }
    }

    /** The config with a member set. */
    private static String with(String json, String key, String value) {
        String without = json.replaceFirst("\"" + key + "\"\\s*:\\s*[^,\\[{}]+,", "").replaceFirst(",\\s*\"" + key + "\"\\s*:\\s*[^,\\[{}]+(?=\\s*\\})", "");
        return "{\"" + key + "\": " + value + "," + without.substring(without.indexOf('{') + 1);
    }

    @ParameterizedTest
    @CsvSource({
        "1.0, ''", "1.5, attention_types: found the number 1.5", "2000000000, attention_types: describes more than", "0, describes 0 layers"
    })
    void timesThatAPatternOfNeoComes(String times, String expected) {
        UnaryOperator<String> config = json -> {
            Matcher layers = Pattern.compile("\"attention_layers\"\\s*:\\s*(\\[[^\\]]*\\]),").matcher(json);
            assertTrue(layers.find());
            return "{\"attention_types\": [[" + layers.group(1) + ", " + times + "]],"
                    + layers.replaceFirst("").replaceFirst("(?s)\"attention_types\"\\s*:\\s*\\[\\s*\\[.*?\\]\\s*,\\s*\\d+\\s*\\]\\s*\\],", "")
                            .substring(1);
        };
        if (expected.isEmpty()) {
            sameLogits("gpt_neo", rewrite("gpt_neo", UnaryOperator.identity(), config));
        } else {
            refused(expected, "gpt_neo", UnaryOperator.identity(), config);
        }
    }

    @Test
    void unknownFamilyIsNamedWithThoseThatAreKnown() {
        String message = refused("model_type", "llama", UnaryOperator.identity(),
                json -> json.replace("\"llama\"", "\"mamba\""));
        assertTrue(message.contains("mamba") && message.contains("gpt_neox"), message);
    }

    private String refused(
            String expected, String name, UnaryOperator<Map<String, Tensor>> change, UnaryOperator<String> config) {
        Path dir = rewrite(name, change, config);
        String message = assertThrows(FormatException.class, () -> ModelLoader.open(dir, KERNELS)).getMessage();
        assertTrue(message.contains(expected), message);
        assertEquals(1, message.lines().count(), message);
        return message;
    }

    private void sameLogits(String name, Path variant) {
        assertArrayEquals(logits(name, Golden.ROOT.resolve(name)), logits(name, variant));
    }

    private static double[] logits(String name, Path dir) {
        try (Arena arena = Arena.ofShared();
                Transformer model = ModelLoader.open(dir, KERNELS);
                ActivationCache cache = model.forward(Golden.open(name, arena).batch())) {
            return model.logits(cache, arena).toDoubles();
        }
    }

    private Path rewrite(String name, UnaryOperator<Map<String, Tensor>> change, UnaryOperator<String> config) {
        try (Arena arena = Arena.ofShared()) {
            Path dir = Files.createTempDirectory(directory, name);
            Path from = Golden.ROOT.resolve(name);
            Files.writeString(dir.resolve("config.json"), config.apply(Files.readString(from.resolve("config.json"))));
            SafetensorsFile file = SafetensorsFile.open(from.resolve("model.safetensors"), arena);
            Map<String, Tensor> tensors = new LinkedHashMap<>();
            file.names().forEach(n -> tensors.put(n, file.tensor(n)));
            SafetensorsWriter.write(dir.resolve("model.safetensors"), change.apply(tensors), Map.of());
            return dir;
        } catch (IOException e) {
            throw new java.io.UncheckedIOException(e);
        }
    }

    private static Map<String, Tensor> renamed(Map<String, Tensor> tensors, String from, String to) {
        Map<String, Tensor> out = new LinkedHashMap<>();
        tensors.forEach((n, t) -> out.put(n.startsWith(from) ? to + n.substring(from.length()) : n, t));
        return out;
    }

    private static Map<String, Tensor> converted(Map<String, Tensor> tensors, DType type) {
        Map<String, Tensor> out = new LinkedHashMap<>();
        tensors.forEach((n, t) -> {
            Tensor copy = Tensor.allocate(Arena.ofAuto(), type, t.shape());
            KERNELS.copy(t, copy);
            out.put(n, copy);
        });
        return out;
    }

    private static Tensor zeros(int... shape) {
        return Tensor.allocate(Arena.ofAuto(), DType.F32, shape);
    }
}

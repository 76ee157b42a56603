package obsprop.model.family;

import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.List;
import java.util.TreeSet;
import java.util.regex.Pattern;
import obsprop.kernel.Kernels;
import obsprop.model.Transformer;
import obsprop.model.io.Checkpoint;
import obsprop.model.io.Config;
import obsprop.tensor.io.FormatException;

/** Opens Hugging Face model directories. */
public final class ModelLoader {
    private static final List<Family> FAMILIES = List.of(
            new Gpt2(), new GptNeo(), new GptJ(), new GptNeoX(), new Opt(), new Llama(), new Mistral(), new Qwen(),
            new Gemma(), new Gemma2(), new Gemma3(), new Olmo2(), new Phi(), new Starcoder2());

    private static final Pattern BUFFERS = Pattern.compile(
            ".*(\\.attn|\\.attention|\\.self_attn)\\.(bias|masked_bias)|.*\\.(inv_freq|position_ids)");
    /** What a multimodal checkpoint holds beside its language model. */
    private static final Pattern OTHER_MODALITIES =
            Pattern.compile("(model\\.)?((vision_tower|vision_model|image_tower|video_tower|audio_tower|multi_modal_projector|connector"
                    + "|embed_vision|visual)\\..*|image_newline)");

    private ModelLoader() {}

    /**
     * Opens a model: {@code config.json} and {@code model.safetensors}, or its shards. Weights are mapped, not read, and
     * keep their type; of small ones the kernels may want transposed copies.
     *
     * @throws FormatException if something is missing, misshapen, left over, or not understood; one line says what
     */
    public static Transformer open(Path dir, Kernels kernels) {
        Config config = Config.read(dir);
        Arena arena = Arena.ofShared();
        try {
            return build(config, Checkpoint.open(dir, arena), kernels, arena, Parts.Weights.FIXED);
        } catch (RuntimeException | Error e) {
            arena.close();
            throw e;
        }
    }

    /**
     * Wires a model from a configuration and its tensors, which their owner may change afterwards.
     *
     * @param arena owns the weights and is closed with the model
     */
    public static Transformer build(Config config, Checkpoint checkpoint, Kernels kernels, Arena arena) {
        return build(config, checkpoint, kernels, arena, Parts.Weights.CHANGING);
    }

    private static Transformer build(
            Config config, Checkpoint checkpoint, Kernels kernels, Arena arena, Parts.Weights weights) {
        Config text = config.object("text_config").orElse(config);
        if (text != config && config.stringOr("model_type", "").startsWith("paligemma")) {
            throw config.refuse("model_type", "is paligemma, whose prompts attend to later tokens too: that is not understood");
        }
        Family family = family(text);
        Transformer model = family.build(new Parts(text, checkpoint, kernels, arena, weights));
        ConfigCheck.requireUnderstood(text);
        checkpoint.requireAllUsed(name -> isBuffer(name) || text != config && OTHER_MODALITIES.matcher(name).matches());
        return model;
    }

    /** Whether {@code name} is a buffer that old files store beside the weights: a mask, rotary frequencies, position numbers. */
    public static boolean isBuffer(String name) {
        return BUFFERS.matcher(name).matches();
    }

    private static Family family(Config config) {
        String type = config.requireString("model_type");
        return FAMILIES.stream()
                .filter(f -> f.modelTypes().contains(type))
                .findFirst()
                .orElseThrow(() -> config.refuse("model_type", "is \"" + type + "\", which is not among the families "
                        + "that are understood: " + String.join(", ", modelTypes())));
    }

    /** Every {@code model_type} that can be opened, sorted. */
    public static TreeSet<String> modelTypes() {
        TreeSet<String> types = new TreeSet<>();
        FAMILIES.forEach(f -> types.addAll(f.modelTypes()));
        return types;
    }
}

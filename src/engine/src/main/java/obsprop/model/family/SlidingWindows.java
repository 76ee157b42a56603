package obsprop.model.family;

import java.util.List;
import java.util.function.IntPredicate;
import obsprop.kernel.AttentionSpec;
import obsprop.model.io.Config;

/** Which layers see only a window: {@code layer_types}, or a family's own rule where the config does not list them. */
record SlidingWindows(Config config, List<String> layerTypes, IntPredicate slidesByDefault, int window) {
    static SlidingWindows of(Config config, int layers, IntPredicate slidesByDefault, int window) {
        List<String> types = config.strings("layer_types");
        if (!types.isEmpty() && types.size() != layers) {
            throw config.refuse("layer_types",
                    "describes " + types.size() + " layers, but num_hidden_layers is " + layers);
        }
        return new SlidingWindows(config, types, slidesByDefault, window);
    }

    boolean slides(int layer) {
        if (layerTypes.isEmpty()) {
            return slidesByDefault.test(layer);
        }
        return switch (layerTypes.get(layer)) {
            case "sliding_attention" -> true;
            case "full_attention" -> false;
            default -> throw config.refuse("layer_types", "has \"" + layerTypes.get(layer) + "\" at layer " + layer
                    + ", expected \"full_attention\" or \"sliding_attention\"");
        };
    }

    int window(int layer) {
        return slides(layer) ? window : AttentionSpec.NO_WINDOW;
    }
}

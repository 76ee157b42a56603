package obsprop.model.family;

import java.util.Optional;
import obsprop.kernel.RotaryStyle;
import obsprop.model.io.Config;
import obsprop.model.layer.Rotary;

/**
 * Rotary settings of config.json: the present form ({@code rope_parameters}) and the older one ({@code rope_theta},
 * {@code rope_scaling}).
 */
final class Rotaries {
    private Rotaries() {}

    /**
     * The rotary embedding of a model that has one for all layers, of whole heads.
     *
     * @param width of a head
     * @param theta the base where the config does not say
     */
    static Rotary halfSplit(Config config, int width, double theta) {
        return halfSplit(config, width, 1, theta);
    }

    /** The same, of the first {@code fraction} of a head's coordinates. */
    static Rotary halfSplit(Config config, int width, double fraction, double theta) {
        Config parameters = parameters(config);
        double base = parameters.positiveOr("rope_theta", config.positiveOr("rope_theta", theta));
        return scaled(config, parameters, base, turning(config, width, fraction));
    }

    /** How many coordinates of a head turn, in pairs that have to lie within it. */
    static int turning(Config config, int width, double fraction) {
        int dims = (int) (width * fraction);
        if (dims < 1 || dims + dims % 2 > width) {
            throw config.refuse(fraction == 1 ? "head_dim" : "partial_rotary_factor", dims + " coordinates of heads " + width
                    + " wide cannot turn in pairs");
        }
        return dims;
    }

    /** The object that holds the scaling: the present form, the older one, or the config itself where there is none. */
    static Config parameters(Config config) {
        requireOneForm(config);
        Optional<Config> scaling = config.object("rope_scaling");
        return config.object("rope_parameters").or(() -> scaling).orElse(config);
    }

    /** Which of two contradicting settings the reference implementation follows has changed over time. */
    static void requireOneForm(Config config) {
        if (config.isPresent("rope_parameters") && config.isPresent("rope_scaling")) {
            throw config.refuse("rope_scaling", "stands beside rope_parameters: keep the one that the model was trained with");
        }
    }

    /** Half-split rotation with the scaling that {@code parameters}, a part of {@code config}, names. */
    static Rotary scaled(Config config, Config parameters, double theta, int dims) {
        float[] frequencies = Rotary.frequencies(theta, dims);
        double factor = 1;
        String type = parameters.stringOr("rope_type", parameters.stringOr("type", "default"));
        switch (type) {
            // Dynamic scaling begins beyond the model's context, where prompts are refused.
            case "default", "dynamic" -> {}
            case "linear" -> divide(frequencies, parameters.requirePositive("factor"));
            case "llama3" -> llama3(frequencies, parameters, originalContext(config, parameters));
            case "yarn" -> factor = yarn(frequencies, parameters, originalContext(config, parameters), theta, dims);
            default -> throw parameters.refuse(parameters.isPresent("rope_type") ? "rope_type" : "type",
                    "is \"" + type + "\", which is not understood (default, linear, dynamic, llama3 and yarn are)");
        }
        return new Rotary(RotaryStyle.HALF_SPLIT, frequencies, factor);
    }

    /** The context that the model was trained with before it was extended. */
    private static int originalContext(Config config, Config parameters) {
        boolean says = parameters.isPresent("original_max_position_embeddings") || !config.isPresent("max_position_embeddings");
        return says ? parameters.requireSize("original_max_position_embeddings") : config.requireSize("max_position_embeddings");
    }

    private static void divide(float[] frequencies, double factor) {
        for (int i = 0; i < frequencies.length; i++) {
            frequencies[i] /= (float) factor;
        }
    }

    /** Llama 3.1: low frequencies are divided by the factor, high ones kept, those between interpolated. */
    private static void llama3(float[] frequencies, Config parameters, double length) {
        double factor = parameters.requirePositive("factor");
        double low = parameters.requirePositive("low_freq_factor");
        double high = parameters.requirePositive("high_freq_factor");
        if (!(high > low)) {
            throw parameters.refuse("high_freq_factor", "is " + high + ", expected more than low_freq_factor, " + low);
        }
        for (int i = 0; i < frequencies.length; i++) {
            double wavelength = 2 * Math.PI / frequencies[i];
            if (wavelength > length / low) {
                frequencies[i] /= (float) factor;
            } else if (wavelength >= length / high) {
                double smooth = (length / wavelength - low) / (high - low);
                frequencies[i] = (float) ((1 - smooth) * frequencies[i] / factor + smooth * frequencies[i]);
            }
        }
    }

    /**
     * YaRN (Peng et al., arXiv 2309.00071): frequencies that turn often within the original context are kept, slow ones divided by the
     * factor, those between blended by a ramp over their numbers. In floats and in the order of the reference implementation, so
     * that long positions agree.
     *
     * @return the factor on cosine and sine
     */
    private static double yarn(float[] frequencies, Config parameters, double length, double theta, int dims) {
        double factor = parameters.requirePositive("factor");
        double from = dimension(parameters.positiveOr("beta_fast", 32), length, theta, dims);
        double to = dimension(parameters.positiveOr("beta_slow", 1), length, theta, dims);
        boolean whole = parameters.booleanOr("truncate", true);
        double low = Math.max(whole ? Math.floor(from) : from, 0);
        double high = Math.min(whole ? Math.ceil(to) : to, dims - 1);
        double width = high == low ? 0.001 : high - low;
        for (int i = 0; i < frequencies.length; i++) {
            float kept = 1 - Math.clamp((float) ((i - low) / width), 0f, 1f);
            float divided = 1f / ((float) factor * (float) Math.pow(theta, (float) (2 * i) / dims));
            frequencies[i] = divided * (1 - kept) + frequencies[i] * kept;
        }
        double mscale = parameters.doubleOr("mscale", 0);
        double allDimensions = parameters.doubleOr("mscale_all_dim", 0);
        double usual = mscale != 0 && allDimensions != 0
                ? magnitude(factor, mscale) / magnitude(factor, allDimensions)
                : magnitude(factor, 1);
        return parameters.positiveOr("attention_factor", usual);
    }

    /** The number of the pair that turns {@code turns} times within {@code length} positions, not rounded. */
    private static double dimension(double turns, double length, double theta, int dims) {
        return dims * Math.log(length / (turns * 2 * Math.PI)) / (2 * Math.log(theta));
    }

    private static double magnitude(double factor, double scale) {
        return factor <= 1 ? 1 : 0.1 * scale * Math.log(factor) + 1;
    }
}

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
        return scaled(parameters, base, turning(config, width, fraction));
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

    /** Half-split rotation with the scaling that {@code parameters} names. */
    static Rotary scaled(Config parameters, double theta, int dims) {
        float[] frequencies = Rotary.frequencies(theta, dims);
        String type = parameters.stringOr("rope_type", parameters.stringOr("type", "default"));
        switch (type) {
            case "default" -> {}
            case "linear" -> divide(frequencies, parameters.requirePositive("factor"));
            case "llama3" -> llama3(frequencies, parameters);
            default -> throw parameters.refuse(parameters.isPresent("rope_type") ? "rope_type" : "type",
                    "is \"" + type + "\", which is not understood (default, linear and llama3 are)");
        }
        return new Rotary(RotaryStyle.HALF_SPLIT, frequencies, 1);
    }

    private static void divide(float[] frequencies, double factor) {
        for (int i = 0; i < frequencies.length; i++) {
            frequencies[i] /= (float) factor;
        }
    }

    /** Llama 3.1: low frequencies are divided by the factor, high ones kept, those between interpolated. */
    private static void llama3(float[] frequencies, Config parameters) {
        double factor = parameters.requirePositive("factor");
        double low = parameters.requirePositive("low_freq_factor");
        double high = parameters.requirePositive("high_freq_factor");
        double length = parameters.requireSize("original_max_position_embeddings");
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
}

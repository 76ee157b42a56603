package obsprop.model.family;

import java.util.Set;
import obsprop.model.Transformer;

/** How one kind of checkpoint becomes a {@link Transformer}. */
interface Family {
    /** The values of {@code model_type} in config.json that it reads. */
    Set<String> modelTypes();

    /**
     * Wires the model. Reads every config key that matters and takes every tensor it needs; what is left over is
     * checked by the caller.
     */
    Transformer build(Parts parts);
}

package obsprop.weights.train;

import java.lang.foreign.Arena;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SequencedMap;
import java.util.SequencedSet;
import obsprop.kernel.Kernels;
import obsprop.model.io.Checkpoint;
import obsprop.tensor.Tensor;

/**
 * The parameters of a model by the names of its checkpoint, each with room for its gradient. Layers know their weights
 * only as tensors; a weight is recognised by the address of its memory, which the CPU kernels leave where it is.
 */
public final class Parameters {
    private final SequencedMap<String, Tensor> values = new LinkedHashMap<>();
    private final Map<String, Tensor> gradients = new HashMap<>();
    private final Map<Long, Tensor> gradientByAddress = new HashMap<>();

    /** All tensors of {@code checkpoint}; the gradients start at zero and live as long as {@code arena}. */
    public Parameters(Checkpoint checkpoint, Kernels kernels, Arena arena) {
        for (String name : checkpoint.names()) {
            Tensor value = checkpoint.take(name, checkpoint.shapeOf(name));
            Tensor gradient = kernels.allocate(arena, value.shape());
            values.put(name, value);
            gradients.put(name, gradient);
            gradientByAddress.put(value.segment().address(), gradient);
        }
    }

    public SequencedSet<String> names() {
        return values.sequencedKeySet();
    }

    public Tensor value(String name) {
        return values.get(name);
    }

    public Tensor gradient(String name) {
        return gradients.get(name);
    }

    /** All values, by name. */
    public SequencedMap<String, Tensor> values() {
        return values;
    }

    /** The gradient that belongs to a layer's weight. */
    Tensor gradientOf(Tensor weight) {
        Tensor gradient = gradientByAddress.get(weight.segment().address());
        if (gradient == null || gradient.elements() != weight.elements()) {
            throw new IllegalArgumentException(weight + " is only part of a tensor of the checkpoint: training does not"
                    + " cover this family");
        }
        return gradient;
    }

    void zeroGradients(Kernels kernels) {
        gradients.values().forEach(kernels::zero);
    }
}

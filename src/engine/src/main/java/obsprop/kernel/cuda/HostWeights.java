package obsprop.kernel.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import obsprop.tensor.Tensor;

/** Which weights stay on the host, and the layers they come over with. Several kernels may share it. */
final class HostWeights {
    private static final long ALIGNMENT = 256;

    private final TreeMap<Long, Weight> byAddress = new TreeMap<>();
    private final List<Layer> layers = new ArrayList<>();

    /** The weights of one block of the model whose memory {@code owner} is. */
    static final class Layer {
        private final Arena owner;
        private final int number;
        private final List<Weight> weights = new ArrayList<>();
        private long bytes;

        private Layer(Arena owner, int number) {
            this.owner = owner;
            this.number = number;
        }

        List<Weight> weights() {
            return weights;
        }

        /** What all of it takes on the device. */
        long bytes() {
            return bytes;
        }
    }

    /**
     * A weight on the host.
     *
     * @param offset from the start of its layer, on the device
     */
    record Weight(Layer layer, MemorySegment host, long offset) {
        /** Where on the device the byte at {@code address} lies, from the start of the layer. */
        long offsetOf(long address) {
            return offset + address - host.address();
        }
    }

    /** Leaves a contiguous weight of block {@code number} where it is. */
    synchronized void add(Arena owner, Tensor weight, int number) {
        Layer layer = layers.stream().filter(l -> l.owner == owner && l.number == number).findFirst()
                .orElseGet(() -> newLayer(owner, number));
        MemorySegment host = weight.segment().asSlice(0, weight.elements() * weight.dtype().bytes());
        Weight added = new Weight(layer, host, layer.bytes);
        layer.weights.add(added);
        layer.bytes += (host.byteSize() + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
        byAddress.put(host.address(), added);
    }

    /** Forgets models that were closed on this occasion, as their addresses may be used again. */
    private Layer newLayer(Arena owner, int number) {
        layers.removeIf(layer -> !layer.owner.scope().isAlive());
        byAddress.values().removeIf(weight -> !weight.layer.owner.scope().isAlive());
        Layer layer = new Layer(owner, number);
        layers.add(layer);
        return layer;
    }

    /** The weight that {@code x} is a part of. */
    synchronized Optional<Weight> find(Tensor x) {
        Map.Entry<Long, Weight> below = byAddress.floorEntry(x.segment().address());
        return Optional.ofNullable(below).map(Map.Entry::getValue)
                .filter(weight -> x.segment().address() < weight.host.address() + weight.host.byteSize());
    }

    /** What the largest layer takes. */
    synchronized long largest() {
        return layers.stream().mapToLong(Layer::bytes).max().orElse(0);
    }
}

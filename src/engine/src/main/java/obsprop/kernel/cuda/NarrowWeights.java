package obsprop.kernel.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import obsprop.cuda.CudaDevice;
import obsprop.tensor.DType;
import obsprop.tensor.Place;
import obsprop.tensor.Tensor;

/**
 * The bfloat16 twins of fp32 weights, for products in bfloat16: rounded once instead of at each product. The weights
 * themselves stay, for whatever else reads them. A twin lives as long as its weight.
 */
final class NarrowWeights {
    /** Elements from which on a twin is worth its memory. */
    private static final long SMALLEST = 1L << 12;

    private final CudaDevice device;
    private final Transfers transfers;
    private final TreeMap<Long, Twin> byAddress = new TreeMap<>();

    NarrowWeights(CudaDevice device, Transfers transfers) {
        this.device = device;
        this.transfers = transfers;
    }

    private record Twin(MemorySegment wide, MemorySegment narrow) {
        boolean isAlive() {
            return wide.scope().isAlive();
        }
    }

    /** Makes the twin of a contiguous weight that was just placed, if it is large and of fp32. */
    void add(Arena owner, Tensor weight) {
        byAddress.values().removeIf(twin -> !twin.isAlive()); // their addresses may be used again
        if (weight.dtype() != DType.F32 || weight.rank() != 2 || weight.elements() < SMALLEST) {
            return;
        }
        MemorySegment narrow = device.allocate(weight.elements() * DType.BF16.bytes(), owner);
        transfers.copy(weight, Tensor.of(narrow, DType.BF16, Place.DEVICE, weight.shape()));
        byAddress.put(weight.segment().address(), new Twin(weight.segment(), narrow));
    }

    /** Where the twin of {@code x}, a weight or a view of one, begins. */
    Optional<MemorySegment> find(Tensor x) {
        long address = x.segment().address();
        Map.Entry<Long, Twin> below = byAddress.floorEntry(address);
        if (below == null || !below.getValue().isAlive()
                || address >= below.getKey() + below.getValue().wide.byteSize()) {
            return Optional.empty();
        }
        long element = (address - below.getKey()) / DType.F32.bytes();
        return Optional.of(below.getValue().narrow.asSlice(element * DType.BF16.bytes()));
    }
}

package obsprop.kernel.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import obsprop.cuda.CudaPrecision;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;

/**
 * Weights in the type that products take, converted once instead of at each product: matrices of fp32 in bfloat16, for products in
 * bfloat16, and vectors of another type in fp32, as cublasLt takes biases. The weights themselves stay, for whatever else
 * reads them. A twin lives as long as its weight.
 */
final class WeightTwins {
    /** Elements from which on the twin of a matrix is worth its memory. */
    private static final long SMALLEST = 1L << 12;

    private final CudaPrecision precision;
    private final Transfers transfers;
    private final TreeMap<Long, Twin> byAddress = new TreeMap<>();

    WeightTwins(CudaPrecision precision, Transfers transfers) {
        this.precision = precision;
        this.transfers = transfers;
    }

    private record Twin(Tensor weight, Tensor converted) {
        boolean isAlive() {
            return weight.segment().scope().isAlive();
        }
    }

    /** Makes the twin of a contiguous weight that was just placed, if products want one. */
    void add(Arena owner, Tensor weight) {
        byAddress.values().removeIf(twin -> !twin.isAlive()); // their addresses may be used again
        boolean isSingle = weight.dtype() == DType.F32;
        boolean widened = weight.rank() == 1 && !isSingle && weight.elements() > 0;
        boolean narrowed = weight.rank() == 2 && isSingle && weight.elements() >= SMALLEST && precision == CudaPrecision.BF16;
        if (widened || narrowed) {
            Tensor twin = transfers.allocate(owner, widened ? DType.F32 : DType.BF16, weight.shape());
            transfers.copy(weight, twin);
            byAddress.put(weight.segment().address(), new Twin(weight, twin));
        }
    }

    /** Where the twin of {@code x}, a weight or a view of one, begins. */
    Optional<MemorySegment> find(Tensor x) {
        long address = x.segment().address();
        Map.Entry<Long, Twin> below = byAddress.floorEntry(address);
        if (below == null || !below.getValue().isAlive()
                || address >= below.getKey() + below.getValue().weight.segment().byteSize()) {
            return Optional.empty();
        }
        Twin twin = below.getValue();
        long element = (address - below.getKey()) / twin.weight.dtype().bytes();
        return Optional.of(twin.converted.segment().asSlice(element * twin.converted.dtype().bytes()));
    }
}

package obsprop.kernel.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import obsprop.cuda.CudaDevice;
import obsprop.tensor.DType;
import obsprop.tensor.Place;
import obsprop.tensor.Tensor;

/**
 * Device memory for one purpose, used again and again and grown when needed. The stream runs in order, so whoever takes
 * it next overwrites only what the one before has finished with.
 */
final class Scratch implements AutoCloseable {
    private final CudaDevice device;
    private Arena arena = Arena.ofShared();
    private MemorySegment memory = MemorySegment.NULL;

    Scratch(CudaDevice device) {
        this.device = device;
    }

    /** A contiguous tensor, not initialised, that is good until the next call. */
    Tensor take(DType dtype, int... shape) {
        long bytes = dtype.bytes();
        for (int size : shape) {
            bytes = Math.multiplyExact(bytes, (long) size);
        }
        return Tensor.of(bytes(bytes), dtype, Place.DEVICE, shape);
    }

    /** At least so many bytes, not initialised, that are good until the next call. */
    MemorySegment bytes(long bytes) {
        if (bytes > memory.byteSize()) {
            memory = MemorySegment.NULL;
            device.recorder().memoryMoved();
            arena.close();
            arena = Arena.ofShared();
            memory = device.allocate(bytes, arena);
        }
        return memory;
    }

    @Override
    public void close() {
        arena.close();
    }
}

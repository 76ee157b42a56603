package obsprop.cuda;

import static obsprop.cuda.binding.cuda_driver_h.CU_STREAM_NON_BLOCKING;
import static obsprop.cuda.binding.cuda_driver_h.cuMemcpyDtoDAsync_v2;
import static obsprop.cuda.binding.cuda_driver_h.cuMemcpyDtoHAsync_v2;
import static obsprop.cuda.binding.cuda_driver_h.cuMemcpyHtoDAsync_v2;
import static obsprop.cuda.binding.cuda_driver_h.cuMemsetD8Async;
import static obsprop.cuda.binding.cuda_driver_h.cuStreamCreate;
import static obsprop.cuda.binding.cuda_driver_h.cuStreamDestroy_v2;
import static obsprop.cuda.binding.cuda_driver_h.cuStreamSynchronize;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** A queue of work: copies and launches run in the order of the calls, later than the calls. */
public final class CudaStream {
    private final CudaDevice device;
    private final MemorySegment handle;

    private CudaStream(CudaDevice device, MemorySegment handle) {
        this.device = device;
        this.handle = handle;
    }

    static CudaStream create(CudaDevice device) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment out = arena.allocate(ValueLayout.ADDRESS);
            Status.driver(cuStreamCreate(out, CU_STREAM_NON_BLOCKING()), "creating a CUDA stream");
            return new CudaStream(device, out.get(ValueLayout.ADDRESS, 0));
        }
    }

    MemorySegment handle() {
        return handle;
    }

    void destroy() {
        cuStreamDestroy_v2(handle);
    }

    /**
     * Copies host memory to the device; {@code host} may change after the call, or if it is page-locked, once the copy has
     * been made.
     */
    public void upload(MemorySegment host, MemorySegment target) {
        requireSameSize(host, target);
        if (host.byteSize() > 0) {
            device.makeCurrent();
            Status.driver(cuMemcpyHtoDAsync_v2(target.address(), host, host.byteSize(), handle), "copying to the device");
        }
    }

    /** Copies to native host memory, which holds the values after {@link #synchronize}. */
    public void download(MemorySegment source, MemorySegment host) {
        requireSameSize(source, host);
        if (host.byteSize() > 0) {
            device.makeCurrent();
            Status.driver(cuMemcpyDtoHAsync_v2(host, source.address(), host.byteSize(), handle), "copying from the device");
        }
    }

    /** Copies within the device. */
    public void copy(MemorySegment source, MemorySegment target) {
        requireSameSize(source, target);
        if (source.byteSize() > 0) {
            device.makeCurrent();
            Status.driver(
                    cuMemcpyDtoDAsync_v2(target.address(), source.address(), source.byteSize(), handle),
                    "copying on the device");
        }
    }

    /** Sets all bytes to zero. */
    public void clear(MemorySegment target) {
        if (target.byteSize() > 0) {
            device.makeCurrent();
            Status.driver(cuMemsetD8Async(target.address(), (byte) 0, target.byteSize(), handle), "clearing device memory");
        }
    }

    /** Waits until everything queued has run; an error of a kernel comes to light here. */
    public void synchronize() {
        device.makeCurrent();
        Status.driver(cuStreamSynchronize(handle), "running kernels on " + device.description().name());
    }

    private static void requireSameSize(MemorySegment a, MemorySegment b) {
        if (a.byteSize() != b.byteSize()) {
            throw new IllegalArgumentException("copy of " + a.byteSize() + " bytes to " + b.byteSize());
        }
    }
}

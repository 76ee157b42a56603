package obsprop.cuda;

import static obsprop.cuda.binding.cuda_driver_h.CU_EVENT_DISABLE_TIMING;
import static obsprop.cuda.binding.cuda_driver_h.cuEventCreate;
import static obsprop.cuda.binding.cuda_driver_h.cuEventDestroy_v2;
import static obsprop.cuda.binding.cuda_driver_h.cuEventRecord;
import static obsprop.cuda.binding.cuda_driver_h.cuEventSynchronize;
import static obsprop.cuda.binding.cuda_driver_h.cuStreamWaitEvent;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** A point in a stream that another stream, or the host, can wait for; before it is recorded nobody waits. */
public final class CudaEvent {
    private final CudaDevice device;
    private final MemorySegment handle;

    private CudaEvent(CudaDevice device, MemorySegment handle) {
        this.device = device;
        this.handle = handle;
    }

    static CudaEvent create(CudaDevice device) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment out = arena.allocate(ValueLayout.ADDRESS);
            Status.driver(cuEventCreate(out, CU_EVENT_DISABLE_TIMING()), "creating a CUDA event");
            return new CudaEvent(device, out.get(ValueLayout.ADDRESS, 0));
        }
    }

    void destroy() {
        cuEventDestroy_v2(handle);
    }

    /** Sets it behind what {@code stream} has queued by now. */
    public void record(CudaStream stream) {
        device.makeCurrent();
        Status.driver(cuEventRecord(handle, stream.handle()), "recording a CUDA event");
    }

    /** What {@code stream} gets from now on waits until the event's last record has been passed. */
    public void holdBack(CudaStream stream) {
        device.makeCurrent();
        Status.driver(cuStreamWaitEvent(stream.handle(), handle, 0), "making a CUDA stream wait");
    }

    /** The caller waits until the event's last record has been passed. */
    public void synchronize() {
        device.makeCurrent();
        Status.driver(cuEventSynchronize(handle), "running work on " + device.description().name());
    }
}

package obsprop.cuda;

import static obsprop.cuda.binding.cuda_driver_h.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
import static obsprop.cuda.binding.cuda_driver_h.cuGraphDestroy;
import static obsprop.cuda.binding.cuda_driver_h.cuGraphExecDestroy;
import static obsprop.cuda.binding.cuda_driver_h.cuGraphInstantiateWithFlags;
import static obsprop.cuda.binding.cuda_driver_h.cuGraphLaunch;
import static obsprop.cuda.binding.cuda_driver_h.cuStreamBeginCapture_v2;
import static obsprop.cuda.binding.cuda_driver_h.cuStreamEndCapture;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;

/**
 * Queued work, recorded once and launched as one thing again and again: with the memory and the arguments it was recorded
 * with. To be closed before the device.
 */
public final class CudaGraph implements AutoCloseable {
    private final CudaDevice device;
    private final MemorySegment executable;
    /** Held so that memory of automatic arenas lives as long. */
    private final List<MemorySegment> used;

    private boolean closed;

    private CudaGraph(CudaDevice device, MemorySegment executable) {
        this.device = device;
        used = device.recorder().used();
        this.executable = executable;
    }

    /**
     * Records what {@code work} puts on the device's stream; nothing of it runs.
     *
     * @throws CudaException if it does what cannot be recorded: allocates, waits, or copies from or to the host
     */
    public static CudaGraph capture(CudaDevice device, Runnable work) {
        MemorySegment stream = device.stream().handle();
        device.makeCurrent();
        device.beginCapture();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment out = arena.allocate(ValueLayout.ADDRESS);
            Status.driver(
                    cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL()), "beginning to record a CUDA graph");
            try {
                work.run();
            } catch (RuntimeException | Error e) {
                cuStreamEndCapture(stream, out); // what was recorded is of no use
                destroy(out.get(ValueLayout.ADDRESS, 0));
                throw e;
            }
            Status.driver(cuStreamEndCapture(stream, out), "recording a CUDA graph");
            return instantiate(device, out.get(ValueLayout.ADDRESS, 0), out);
        } finally {
            device.endCapture();
        }
    }

    private static void destroy(MemorySegment graph) {
        if (graph.address() != 0) {
            cuGraphDestroy(graph);
        }
    }

    private static CudaGraph instantiate(CudaDevice device, MemorySegment graph, MemorySegment out) {
        try {
            Status.driver(cuGraphInstantiateWithFlags(out, graph, 0), "preparing a CUDA graph");
            return new CudaGraph(device, out.get(ValueLayout.ADDRESS, 0));
        } finally {
            cuGraphDestroy(graph);
        }
    }

    /** Queues all of it on the device's stream. */
    public void launch() {
        device.makeCurrent();
        Status.driver(cuGraphLaunch(executable, device.stream().handle()), "launching a CUDA graph");
    }

    @Override
    public void close() {
        if (!closed) {
            closed = true;
            used.clear();
            cuGraphExecDestroy(executable);
        }
    }
}

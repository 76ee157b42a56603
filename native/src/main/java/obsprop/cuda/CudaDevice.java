package obsprop.cuda;

import static obsprop.cuda.binding.cuda_driver_h.CUDA_ERROR_OUT_OF_MEMORY;
import static obsprop.cuda.binding.cuda_driver_h.CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
import static obsprop.cuda.binding.cuda_driver_h.cuCtxSetCurrent;
import static obsprop.cuda.binding.cuda_driver_h.cuDeviceGetDefaultMemPool;
import static obsprop.cuda.binding.cuda_driver_h.cuDevicePrimaryCtxRelease_v2;
import static obsprop.cuda.binding.cuda_driver_h.cuDevicePrimaryCtxRetain;
import static obsprop.cuda.binding.cuda_driver_h.cuMemAllocAsync;
import static obsprop.cuda.binding.cuda_driver_h.cuMemFreeAsync;
import static obsprop.cuda.binding.cuda_driver_h.cuMemFreeHost;
import static obsprop.cuda.binding.cuda_driver_h.cuMemGetInfo_v2;
import static obsprop.cuda.binding.cuda_driver_h.cuMemHostAlloc;
import static obsprop.cuda.binding.cuda_driver_h.cuMemPoolSetAttribute;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.Locale;

/**
 * An opened CUDA device: its context, its one stream, its kernels, cuBLAS and its memory.
 *
 * <p>For one thread at a time; memory may be freed (an arena closed) by any thread. Work is asynchronous: results are
 * on the host only after {@link CudaStream#synchronize}. Once a kernel has failed, every further call fails too: close
 * the device.
 */
public final class CudaDevice implements AutoCloseable {
    /** What NVIDIA advises for cuBLAS on large devices; less where little is free. */
    private static final long WORKSPACE = 32 << 20;

    private static final long SHARE_OF_FREE = 16;
    private static final long WORKSPACE_UNIT = 256;

    private final CudaProbe.Present description;
    private final Arena arena = Arena.ofShared();
    private final Deque<Runnable> releases = new ArrayDeque<>();
    private final MemorySegment context;
    private final CudaStream stream;
    private final CudaModule module;
    private final Cublas cublas;
    private final CublasLt cublasLt;
    private final Deque<Long> freedInCapture = new ArrayDeque<>();
    private MemorySegment workspace = MemorySegment.NULL;
    private final CudaRecorder recorder = new CudaRecorder();
    private long liveAllocations;
    private boolean closed;

    private CudaDevice(CudaProbe.Present description) {
        this.description = description;
        releases.push(arena::close);
        try {
            context = retainContext();
            makeCurrent();
            keepFreedMemory();
            stream = CudaStream.create(this);
            releases.push(stream::destroy);
            module = CudaModule.load(arena);
            releases.push(module::unload);
            cublas = Cublas.create(this, arena);
            releases.push(cublas::destroy);
            cublasLt = CublasLt.create(this, arena);
            releases.push(cublasLt::destroy);
        } catch (CudaException e) {
            close();
            throw e;
        }
    }

    static CudaDevice open(CudaProbe.Present description) {
        return new CudaDevice(description);
    }

    private MemorySegment retainContext() {
        int device = description.ordinal();
        MemorySegment out = arena.allocate(ValueLayout.ADDRESS);
        Status.driver(cuDevicePrimaryCtxRetain(out, device), "opening " + description.name());
        releases.push(() -> cuDevicePrimaryCtxRelease_v2(device));
        return out.get(ValueLayout.ADDRESS, 0);
    }

    /** Lets the driver's pool keep what is freed: passes allocate the same sizes over and over. */
    private void keepFreedMemory() {
        MemorySegment pool = arena.allocate(ValueLayout.ADDRESS);
        Status.driver(cuDeviceGetDefaultMemPool(pool, description.ordinal()), "finding the memory pool");
        MemorySegment all = arena.allocateFrom(ValueLayout.JAVA_LONG, -1L);
        int attribute = CU_MEMPOOL_ATTR_RELEASE_THRESHOLD();
        Status.driver(cuMemPoolSetAttribute(pool.get(ValueLayout.ADDRESS, 0), attribute, all), "setting up the memory pool");
    }

    /** The driver keeps one context for each thread; this makes it ours for the calling thread. */
    void makeCurrent() {
        Status.driver(cuCtxSetCurrent(context), "entering the CUDA context");
    }

    public CudaProbe.Present description() {
        return description;
    }

    public CudaStream stream() {
        return stream;
    }

    public CudaModule module() {
        return module;
    }

    public Cublas cublas() {
        return cublas;
    }

    public CublasLt cublasLt() {
        return cublasLt;
    }

    /** For work that is recorded. */
    public CudaRecorder recorder() {
        return recorder;
    }

    /** Another stream, which runs beside the first; released with the device. */
    public synchronized CudaStream newStream() {
        makeCurrent();
        CudaStream created = CudaStream.create(this);
        releases.push(created::destroy);
        return created;
    }

    /** An event, released with the device. */
    public synchronized CudaEvent newEvent() {
        makeCurrent();
        CudaEvent created = CudaEvent.create(this);
        releases.push(created::destroy);
        return created;
    }

    /** What cuBLAS and cublasLt work in, in turns, as they share the stream; allocated when first needed. */
    @SuppressWarnings("restricted") // gives a device pointer the size it was allocated with
    synchronized MemorySegment workspace() {
        if (workspace.byteSize() == 0) {
            long bytes = Math.min(WORKSPACE, freeMemory() / SHARE_OF_FREE) / WORKSPACE_UNIT * WORKSPACE_UNIT;
            long address = allocate(Math.max(bytes, WORKSPACE_UNIT));
            releases.push(() -> cuMemFreeAsync(address, stream.handle()));
            workspace = MemorySegment.ofAddress(address).reinterpret(Math.max(bytes, WORKSPACE_UNIT));
            cublas.use(workspace);
        }
        return workspace;
    }

    /**
     * Memory of the device, not initialised, as a segment whose address is the device pointer: to slice and to pass on,
     * never to read or write from Java. It is freed, in stream order, when {@code owner} closes.
     *
     * @throws CudaException where there is not enough, with what was asked for and what is free
     */
    @SuppressWarnings("restricted") // gives a device pointer the size it was allocated with
    public synchronized MemorySegment allocate(long bytes, Arena owner) {
        requireOpen();
        long address = allocate(bytes);
        liveAllocations++;
        try {
            return MemorySegment.ofAddress(address).reinterpret(bytes, owner, _ -> free(address));
        } catch (RuntimeException e) {
            free(address); // the owner is closed, or of another thread
            throw e;
        }
    }

    private long allocate(long bytes) {
        if (recorder.capturing()) {
            throw new CudaException("work that is recorded as a CUDA graph allocates " + size(bytes));
        }
        makeCurrent();
        try (Arena local = Arena.ofConfined()) {
            MemorySegment out = local.allocate(ValueLayout.JAVA_LONG);
            int code = cuMemAllocAsync(out, Math.max(bytes, 1), stream.handle());
            if (code == CUDA_ERROR_OUT_OF_MEMORY()) {
                throw new CudaException(outOfMemory(bytes));
            }
            Status.driver(code, "allocating " + size(bytes) + " on " + description.name());
            return out.get(ValueLayout.JAVA_LONG, 0);
        }
    }

    /**
     * Page-locked memory of the host, not initialised, which the device reads while the host goes on; freed with
     * {@code owner}, before which everybody must be done with it.
     */
    @SuppressWarnings("restricted") // gives a pointer the size it was allocated with
    public synchronized MemorySegment allocatePinned(long bytes, Arena owner) {
        requireOpen();
        makeCurrent();
        try (Arena local = Arena.ofConfined()) {
            MemorySegment out = local.allocate(ValueLayout.ADDRESS);
            int code = cuMemHostAlloc(out, bytes, 0);
            if (code == CUDA_ERROR_OUT_OF_MEMORY()) {
                throw new CudaException("out of memory of the host, which may lock no " + size(bytes) + " more");
            }
            Status.driver(code, "allocating " + size(bytes) + " of page-locked memory");
            return out.get(ValueLayout.ADDRESS, 0).reinterpret(bytes, owner, this::freePinned);
        }
    }

    private synchronized void freePinned(MemorySegment memory) {
        if (!closed) {
            cuCtxSetCurrent(context);
            cuMemFreeHost(memory);
        }
    }

    /** From now on {@link #allocate} refuses, and what is freed is freed at the end: a graph would record both. */
    synchronized void beginCapture() {
        recorder.begin();
    }

    synchronized void endCapture() {
        recorder.end();
        while (!freedInCapture.isEmpty()) {
            release(freedInCapture.pop());
        }
    }

    private String outOfMemory(long bytes) {
        return "out of memory on " + description.name() + ": " + size(bytes) + " asked for, " + size(freeMemory())
                + " free; use shorter prompts, fewer of them, fewer observables at a time, or the CPU";
    }

    /** Bytes not in use by anyone, this device's pool of freed memory apart. */
    public long freeMemory() {
        makeCurrent();
        try (Arena local = Arena.ofConfined()) {
            MemorySegment free = local.allocate(ValueLayout.JAVA_LONG);
            Status.driver(cuMemGetInfo_v2(free, local.allocate(ValueLayout.JAVA_LONG)), "asking for free memory");
            return free.get(ValueLayout.JAVA_LONG, 0);
        }
    }

    private static String size(long bytes) {
        return bytes < 1 << 20
                ? String.format(Locale.ROOT, "%.1f KiB", bytes / (double) (1 << 10))
                : String.format(Locale.ROOT, "%.1f MiB", bytes / (double) (1 << 20));
    }

    /**
     * A status other than success is dropped on purpose: it can only repeat the error that broke the context, which has
     * been thrown or will be by the next synchronisation, and an arena must close.
     */
    private synchronized void free(long address) {
        liveAllocations--;
        if (recorder.capturing()) {
            freedInCapture.push(address);
        } else {
            release(address);
        }
    }

    private void release(long address) {
        if (!closed) {
            cuCtxSetCurrent(context);
            cuMemFreeAsync(address, stream.handle());
        }
    }

    /** Allocations whose arena is still open. */
    public synchronized long liveAllocations() {
        return liveAllocations;
    }

    private void requireOpen() {
        if (closed) {
            throw new IllegalStateException("the CUDA device is closed");
        }
    }

    /** Releases everything; memory that arenas still hold goes with the context. */
    @Override
    public synchronized void close() {
        if (closed) {
            return;
        }
        cuCtxSetCurrent(context);
        closed = true;
        while (!releases.isEmpty()) {
            releases.pop().run();
        }
    }
}

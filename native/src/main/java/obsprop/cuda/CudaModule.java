package obsprop.cuda;

import static obsprop.cuda.binding.cuda_driver_h.CUDA_ERROR_NO_BINARY_FOR_GPU;
import static obsprop.cuda.binding.cuda_driver_h.CUDA_ERROR_UNSUPPORTED_PTX_VERSION;
import static obsprop.cuda.binding.cuda_driver_h.cuModuleGetFunction;
import static obsprop.cuda.binding.cuda_driver_h.cuModuleLoadData;
import static obsprop.cuda.binding.cuda_driver_h.cuModuleUnload;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** The kernels of {@code kernels.cu}, loaded from the fat binary beside this class. */
public final class CudaModule {
    private static final String BINARY = "kernels.fatbin";
    private static final long ALIGNMENT = 16;

    private final MemorySegment handle;

    private CudaModule(MemorySegment handle) {
        this.handle = handle;
    }

    static CudaModule load(Arena arena) {
        byte[] bytes = bytes();
        MemorySegment image = arena.allocate(bytes.length, ALIGNMENT);
        MemorySegment.copy(bytes, 0, image, ValueLayout.JAVA_BYTE, 0, bytes.length);
        MemorySegment out = arena.allocate(ValueLayout.ADDRESS);
        int code = cuModuleLoadData(out, image);
        if (code == CUDA_ERROR_NO_BINARY_FOR_GPU() || code == CUDA_ERROR_UNSUPPORTED_PTX_VERSION()) {
            throw new CudaException("this device or its driver is too old for the kernels: " + Status.describe(code));
        }
        Status.driver(code, "loading the CUDA kernels");
        return new CudaModule(out.get(ValueLayout.ADDRESS, 0));
    }

    private static byte[] bytes() {
        try (InputStream in = CudaModule.class.getResourceAsStream(BINARY)) {
            if (in == null) {
                throw new IllegalStateException("the resource " + BINARY + " is missing: the build is incomplete");
            }
            return in.readAllBytes();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** The {@code extern "C"} kernel of this name. */
    public CudaFunction function(String name) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment out = arena.allocate(ValueLayout.ADDRESS);
            Status.driver(cuModuleGetFunction(out, handle, arena.allocateFrom(name)), "finding the kernel " + name);
            return new CudaFunction(name, out.get(ValueLayout.ADDRESS, 0));
        }
    }

    void unload() {
        cuModuleUnload(handle);
    }
}

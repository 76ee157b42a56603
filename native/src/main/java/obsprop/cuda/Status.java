package obsprop.cuda;

import static obsprop.cuda.binding.cublas_h.cublasGetStatusString;
import static obsprop.cuda.binding.cuda_driver_h.CUDA_SUCCESS;
import static obsprop.cuda.binding.cuda_driver_h.cuGetErrorName;
import static obsprop.cuda.binding.cuda_driver_h.cuGetErrorString;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Turns status codes into exceptions. */
final class Status {
    private Status() {}

    /** Throws unless a driver call answered success; {@code action} says what was tried. */
    static void driver(int code, String action) {
        if (code != CUDA_SUCCESS()) {
            throw new CudaException(action + " failed: " + describe(code));
        }
    }

    /** Throws unless a cuBLAS call answered success. */
    static void cublas(int code, String action) {
        if (code != 0) {
            throw new CudaException(action + " failed: " + cublasGetStatusString(code).getString(0) + " (cuBLAS " + code + ")");
        }
    }

    /** For example {@code out of memory (CUDA_ERROR_OUT_OF_MEMORY)}. */
    static String describe(int code) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment text = arena.allocate(ValueLayout.ADDRESS);
            MemorySegment name = arena.allocate(ValueLayout.ADDRESS);
            if (cuGetErrorString(code, text) != CUDA_SUCCESS() || cuGetErrorName(code, name) != CUDA_SUCCESS()) {
                return "CUDA error " + code;
            }
            return string(text) + " (" + string(name) + ")";
        }
    }

    /** The C string that {@code pointer} points to. */
    @SuppressWarnings("restricted") // a string of unknown length, which the driver owns
    private static String string(MemorySegment pointer) {
        return pointer.get(ValueLayout.ADDRESS, 0).reinterpret(Long.MAX_VALUE).getString(0);
    }
}

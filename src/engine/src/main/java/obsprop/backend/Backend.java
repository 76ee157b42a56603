package obsprop.backend;

import java.util.Optional;
import java.util.OptionalLong;
import obsprop.cuda.CudaLoader;
import obsprop.cuda.CudaPrecision;
import obsprop.cuda.CudaProbe;
import obsprop.kernel.Kernels;
import obsprop.kernel.Residency;
import obsprop.kernel.cpu.CpuKernels;
import obsprop.kernel.cuda.CudaKernels;
import obsprop.kernel.scalar.ScalarKernels;

/**
 * What computes, and why it was chosen. To be closed after every model and tensor that uses it.
 *
 * @param reason in words, for people
 */
public record Backend(Kernels kernels, String reason) implements AutoCloseable {
    private static final String VECTOR_MODULE = "jdk.incubator.vector";

    /**
     * What a user may ask for.
     *
     * @param threads CPU threads to use, at least 1
     * @param precision of matrix products on a CUDA device
     * @param residency where a CUDA device has the weights of blocks
     */
    public record Choice(Device device, int threads, CudaPrecision precision, Residency residency) {
        /** That device with one CPU thread a core and products in true single precision. */
        public static Choice of(Device device) {
            return new Choice(device, Runtime.getRuntime().availableProcessors(), CudaPrecision.FP32, Residency.RESIDENT);
        }

        /** The same with another number of CPU threads. */
        public Choice withThreads(int count) {
            return new Choice(device, count, precision, residency);
        }

        /** The same with the weights of blocks there. */
        public Choice with(Residency where) {
            return new Choice(device, threads, precision, where);
        }
    }

    /** The device that was asked for cannot be used; the message says why and what to do. */
    public static final class UnavailableException extends RuntimeException {
        private static final long serialVersionUID = 1;

        UnavailableException(String message) {
            super(message);
        }
    }

    /**
     * Chooses a backend, once, at start.
     *
     * @throws UnavailableException if that device cannot be used here; nothing slower is taken silently instead
     */
    public static Backend select(Choice choice) {
        Device device = choice.device();
        if (device == Device.CPU_SCALAR) {
            return new Backend(ScalarKernels.float32(), "asked for with --device cpu-scalar");
        }
        if (device == Device.CPU) {
            return cpu(choice.threads(), "asked for with --device cpu");
        }
        CudaProbe probe = CudaLoader.probe();
        // No switch over patterns: the first of a JVM takes milliseconds.
        if (probe instanceof CudaProbe.Present found) {
            return new Backend(CudaKernels.open(found, choice.precision(), choice.residency()),
                    device == Device.CUDA ? "asked for with --device cuda" : "a CUDA device is present");
        }
        String reason = ((CudaProbe.Absent) probe).reason();
        if (device == Device.CUDA) {
            throw new UnavailableException("--device cuda: " + reason + "; use --device cpu");
        }
        return cpu(choice.threads(), "no CUDA: " + reason);
    }

    /** What a result's bits depend on besides the input, in words: the number of threads is not among it. */
    public String arithmetic() {
        return kernels instanceof CudaKernels cuda ? "CUDA, " + cuda.precision() : kernels.getClass().getSimpleName();
    }

    /** Bytes free on the device for weights and passes; empty where they lie in the host's memory. */
    public OptionalLong freeDeviceMemory() {
        return kernels instanceof CudaKernels cuda ? OptionalLong.of(cuda.device().freeMemory()) : OptionalLong.empty();
    }

    /**
     * The same CUDA device with products of another precision, to be closed before this one; it can read all that this
     * one has placed. Empty on a CPU, which has but one precision.
     */
    public Optional<Backend> with(CudaPrecision precision) {
        if (kernels instanceof CudaKernels cuda) {
            return Optional.of(new Backend(cuda.with(precision), reason));
        }
        return Optional.empty();
    }

    private static Backend cpu(int threads, String reason) {
        if (ModuleLayer.boot().findModule(VECTOR_MODULE).isEmpty()) {
            throw new UnavailableException("this JVM was started without the Vector API that the CPU backend is made of:"
                    + " add --add-modules " + VECTOR_MODULE + " to java's options, or ask for the slow --device cpu-scalar");
        }
        return new Backend(CpuKernels.create(threads), reason);
    }

    @Override
    public void close() {
        if (kernels instanceof CpuKernels cpu) {
            cpu.close();
        } else if (kernels instanceof CudaKernels cuda) {
            cuda.close();
        }
    }
}

package obsprop.backend;

import java.util.Optional;
import obsprop.kernel.Kernels;
import obsprop.kernel.cpu.CpuKernels;
import obsprop.kernel.scalar.ScalarKernels;

/**
 * What computes, and why it was chosen.
 *
 * @param reason in words, for people
 */
public record Backend(Kernels kernels, String reason) {
    private static final String VECTOR_MODULE = "jdk.incubator.vector";

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
     * @param threads CPU threads to use, at least 1
     * @throws UnavailableException if that device cannot be used here; nothing slower is taken silently instead
     */
    public static Backend select(Device device, int threads) {
        if (device == Device.CPU_SCALAR) {
            return new Backend(ScalarKernels.float32(), "asked for with --device cpu-scalar");
        }
        if (device == Device.CUDA) {
            throw new UnavailableException("--device cuda: " + noCuda() + "; use --device cpu");
        }
        requireVectorModule();
        String reason = device == Device.CPU ? "asked for with --device cpu" : noCuda();
        return new Backend(CpuKernels.create(threads), reason);
    }

    private static String noCuda() {
        return "no CUDA device";
    }

    private static void requireVectorModule() {
        Optional<Module> module = ModuleLayer.boot().findModule(VECTOR_MODULE);
        if (module.isEmpty()) {
            throw new UnavailableException("this JVM was started without the Vector API that the CPU backend is made of:"
                    + " add --add-modules " + VECTOR_MODULE + " to java's options, or ask for the slow --device cpu-scalar");
        }
    }
}

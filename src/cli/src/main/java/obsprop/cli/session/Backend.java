package obsprop.cli.session;

import obsprop.cli.UsageException;
import obsprop.cli.options.Device;
import obsprop.kernel.Kernels;
import obsprop.kernel.scalar.ScalarKernels;

/**
 * What computes, and why that.
 *
 * @param kernels the arithmetic
 * @param reason in words
 */
public record Backend(Kernels kernels, String reason) {
    /** The backend for {@code device} with {@code threads} CPU threads. */
    static Backend choose(Device device, int threads) {
        return switch (device) {
            case CUDA -> throw new UsageException("--device cuda: this build has no CUDA backend: use --device cpu");
            case CPU_SCALAR -> new Backend(ScalarKernels.float32(), "--device cpu-scalar asks for the reference");
            case AUTO, CPU -> new Backend(ScalarKernels.float32(), "this build has no faster backend");
        };
    }
}

package obsprop.kernel.cpu;

import obsprop.kernel.Kernels;
import obsprop.kernel.KernelsContract;
import org.junit.jupiter.api.AfterAll;

/** The Vector API kernels on two threads against the oracle. */
final class CpuKernelsContractTest implements KernelsContract {
    private static final CpuKernels KERNELS = CpuKernels.create(2);

    @Override
    public Kernels kernels() {
        return KERNELS;
    }

    @AfterAll
    static void close() {
        KERNELS.close();
    }
}

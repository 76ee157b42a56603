package obsprop.kernel.cpu;

import obsprop.kernel.Kernels;
import obsprop.kernel.KernelsContract;
import org.junit.jupiter.api.AfterAll;

/** The Vector API kernels on two threads against the oracle. */
final class CpuKernelsContractTest extends KernelsContract {
    private final CpuKernels kernels = CpuKernels.create(2);

    @Override
    public Kernels kernels() {
        return kernels;
    }

    @AfterAll
    void close() {
        kernels.close();
    }
}

package obsprop.kernel.cpu;

import obsprop.kernel.Kernels;
import obsprop.kernel.KernelsContract;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;

/** The Vector API kernels on two threads against the oracle. */
final class CpuKernelsContractTest implements KernelsContract {
    private static final CpuKernels KERNELS = WarmKernels.create(2);

    /** The build runs this class several times, with vectors of several widths. */
    @BeforeAll
    static void printWidth() {
        System.out.println("CPU kernels under test: " + KERNELS.describe());
    }

    @Override
    public Kernels kernels() {
        return KERNELS;
    }

    @AfterAll
    static void close() {
        KERNELS.close();
    }
}

package obsprop.kernel.cuda;

import obsprop.cuda.CudaPrecision;
import obsprop.cuda.emulator.TestDevice;
import obsprop.kernel.Kernels;
import obsprop.kernel.KernelsContract;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.TestInstance;

/** The CUDA kernels in fp32, on the emulator or on the card that is demanded. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
final class CudaKernelsContractTest implements KernelsContract {
    private CudaUnderTest cuda;

    @BeforeAll
    void open() {
        cuda = CudaUnderTest.open(CudaPrecision.FP32);
        System.out.println(cuda.kernels().describe());
    }

    @Override
    public Kernels kernels() {
        return cuda.kernels();
    }

    @Override
    public boolean rowsAreIndependent() {
        return !TestDevice.mustBeReal();
    }

    @AfterAll
    void close() {
        if (cuda != null) {
            cuda.close();
        }
    }
}

package obsprop.kernel.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;

import obsprop.cuda.CudaPrecision;
import obsprop.cuda.emulator.Emulator;
import obsprop.cuda.emulator.TestDevice;
import obsprop.kernel.Kernels;
import obsprop.kernel.KernelsContract;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.TestInstance;

/** The CUDA kernels in fp32, on the emulator or on the card that is demanded, leave right results and no memory. */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
final class CudaKernelsContractTest implements KernelsContract {
    private CudaKernels kernels;

    @BeforeAll
    void open() {
        kernels = CudaKernels.open(TestDevice.present(), CudaPrecision.FP32);
        System.out.println(kernels.describe());
    }

    @Override
    public Kernels kernels() {
        return kernels;
    }

    @AfterAll
    void nothingIsLeaked() {
        if (kernels != null) {
            kernels.close();
            assertEquals(0, kernels.device().liveAllocations());
        }
        if (!TestDevice.mustBeReal()) {
            Emulator emulator = TestDevice.emulator();
            assertEquals(0, emulator.liveAllocations(), "live allocations");
            assertEquals(0, emulator.liveObjects(), "live objects");
            assertEquals(0, emulator.damagedAllocations(), "damaged allocations");
        }
    }
}

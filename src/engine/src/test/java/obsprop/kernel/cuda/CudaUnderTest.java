package obsprop.kernel.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;

import obsprop.cuda.CudaPrecision;
import obsprop.cuda.emulator.Emulator;
import obsprop.cuda.emulator.TestDevice;
import obsprop.kernel.Residency;

/** The CUDA kernels on the emulator, or on the card that is demanded; closing them demands that nothing is left. */
public final class CudaUnderTest implements AutoCloseable {
    private final CudaKernels kernels;

    private CudaUnderTest(CudaKernels kernels) {
        this.kernels = kernels;
    }

    /** Skips the test, with a message, without g++. */
    public static CudaUnderTest open(CudaPrecision precision) {
        return new CudaUnderTest(CudaKernels.open(TestDevice.present(), precision));
    }

    /** The same with the weights of blocks there. */
    public static CudaUnderTest open(CudaPrecision precision, Residency residency) {
        return new CudaUnderTest(CudaKernels.open(TestDevice.present(), precision, residency));
    }

    public CudaKernels kernels() {
        return kernels;
    }

    @Override
    public void close() {
        collectGarbage(); // some tables live in automatic arenas
        kernels.close();
        for (int i = 0; i < 50 && kernels.device().liveAllocations() > 0; i++) {
            collectGarbage();
        }
        assertEquals(0, kernels.device().liveAllocations(), "allocations of arenas still open");
        if (!TestDevice.mustBeReal()) {
            Emulator emulator = TestDevice.emulator();
            assertEquals(0, emulator.liveObjects(), "live objects");
            assertEquals(0, emulator.damagedAllocations(), "damaged allocations");
        }
    }

    private static void collectGarbage() {
        System.gc();
        try {
            Thread.sleep(10);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}

package obsprop.model;

import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.util.List;
import java.util.function.LongConsumer;
import obsprop.cuda.CudaException;
import obsprop.cuda.CudaPrecision;
import obsprop.cuda.emulator.Emulator;
import obsprop.cuda.emulator.TestDevice;
import obsprop.kernel.Kernels;
import obsprop.kernel.Residency;
import obsprop.kernel.cuda.CudaUnderTest;
import obsprop.model.family.ModelLoader;
import obsprop.model.io.Checkpoint;
import obsprop.model.layer.Rules;
import obsprop.propagation.Propagator;
import obsprop.testing.Golden;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/** Every fixture through the CUDA kernels in fp32 with the blocks' weights on the host, of which two are on the device. */
class CudaStreamedModelTest {
    /** More layers than are on the device at a time. */
    private static final String DEEPEST = Golden.deepest();

    static List<String> names() {
        return Golden.names();
    }

    @ParameterizedTest
    @MethodSource("names")
    void forwardAndBack(String name) {
        try (CudaUnderTest cuda = CudaUnderTest.open(CudaPrecision.FP32, Residency.STREAMED)) {
            GoldenModelTest golden = new GoldenModelTest();
            golden.forward(name, cuda.kernels());
            golden.gradients(name, cuda.kernels());
            golden.headFeatures(name, cuda.kernels());
        }
    }

    @ParameterizedTest
    @EnumSource
    void otherPrecisionsConvertWhatArrives(CudaPrecision precision) {
        try (CudaUnderTest cuda = CudaUnderTest.open(precision, Residency.STREAMED)) {
            pass(cuda.kernels());
        }
    }

    private static long weights() {
        try (Arena arena = Arena.ofShared()) {
            return Checkpoint.open(Golden.ROOT.resolve(DEEPEST), arena).bytes();
        }
    }

    @Test
    void modelsLargerThanTheDevice() {
        Emulator emulator = TestDevice.emulator();
        try (CudaUnderTest cuda = CudaUnderTest.open(CudaPrecision.FP32, Residency.STREAMED)) {
            emulator.limitMemory(weights() - 1);
            new GoldenModelTest().oneToken(DEEPEST, cuda.kernels());
            pass(cuda.kernels());
        } finally {
            emulator.reset();
        }
        try (CudaUnderTest cuda = CudaUnderTest.open(CudaPrecision.FP32)) {
            emulator.limitMemory(weights() - 1);
            CudaException e = assertThrows(CudaException.class, () -> pass(cuda.kernels()));
            assertTrue(e.getMessage().contains("out of memory"), e.getMessage());
        } finally {
            emulator.reset();
        }
    }

    private static void pass(Kernels kernels) {
        try (Arena arena = Arena.ofShared()) {
            Golden golden = Golden.open(DEEPEST, arena);
            try (Transformer model = ModelLoader.open(golden.directory(), kernels);
                    ActivationCache cache = model.forward(Batch.of(new int[] {3, 4, 5}))) {
                new Propagator(model).gradients(cache, List.of(new Propagator.Target(golden.observable(), 2)), Rules.EXACT, arena);
            }
        }
    }

    /** Whether the fault that comes at the n-th chance came, and came as one clear error. */
    private static boolean injectAt(LongConsumer fault, int n, String message) {
        try (CudaUnderTest cuda = CudaUnderTest.open(CudaPrecision.FP32, Residency.STREAMED)) {
            fault.accept(n);
            try {
                pass(cuda.kernels());
                return false;
            } catch (CudaException e) {
                assertTrue(e.getMessage().contains(message), e.getMessage());
                return true;
            } finally {
                TestDevice.emulator().reset();
            }
        }
    }

    private static void injectEverywhere(LongConsumer fault, String message) {
        int met = 0;
        for (int n = 1; injectAt(fault, n, message); n += 1 + n / 4) {
            met++;
        }
        System.out.println(met + " times, " + message);
        assertTrue(met > 5, met + " faults met");
    }

    @Test
    void outOfMemory() {
        injectEverywhere(TestDevice.emulator()::failAllocation, "out of memory");
    }

    @Test
    void failingKernel() {
        injectEverywhere(TestDevice.emulator()::failLaunch, "CUDA_ERROR_LAUNCH_FAILED");
    }
}

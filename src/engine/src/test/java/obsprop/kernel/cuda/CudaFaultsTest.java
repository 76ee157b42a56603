package obsprop.kernel.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.util.List;
import java.util.function.LongConsumer;
import obsprop.cuda.CudaException;
import obsprop.cuda.CudaLoader;
import obsprop.cuda.CudaPrecision;
import obsprop.cuda.CudaProbe;
import obsprop.cuda.emulator.Emulator;
import obsprop.cuda.emulator.TestDevice;
import obsprop.model.ActivationCache;
import obsprop.model.Transformer;
import obsprop.model.family.ModelLoader;
import obsprop.model.io.Checkpoint;
import obsprop.model.layer.Rules;
import obsprop.propagation.Propagator;
import obsprop.testing.Golden;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** A fault anywhere between loading a model and reading a gradient is one clear error and leaves nothing behind. */
class CudaFaultsTest {
    private static final String DEVICE = "obsprop CUDA emulator on the CPU (not a GPU)";

    /** Loads, runs forward and pulls one observable back. */
    private static void pass(String fixture, CudaKernels kernels) {
        try (Arena arena = Arena.ofShared()) {
            Golden golden = Golden.open(fixture, arena);
            try (Transformer model = ModelLoader.open(golden.directory(), kernels);
                    ActivationCache cache = model.forward(golden.batch())) {
                var target = new Propagator.Target(golden.observable(), 3);
                new Propagator(model).gradients(cache, List.of(target), Rules.EXACT, arena);
            }
        }
    }

    /** Whether the fault that comes at the n-th chance came, and came as one clear error. */
    private static boolean injectAt(LongConsumer fault, int n, String fixture, String message) {
        try (CudaUnderTest cuda = CudaUnderTest.open(CudaPrecision.FP32)) {
            fault.accept(n);
            try {
                pass(fixture, cuda.kernels());
                return false;
            } catch (CudaException e) {
                assertTrue(e.getMessage().contains(message), e.getMessage());
                return true;
            } finally {
                TestDevice.emulator().reset();
            }
        }
    }

    private static void injectEverywhere(LongConsumer fault, String fixture, String message) {
        int met = 0;
        for (int n = 1; injectAt(fault, n, fixture, message); n += 1 + n / 3) {
            met++;
        }
        System.out.println(fixture + ": " + met + " times, " + message);
        assertTrue(met > 5, met + " faults met");
    }

    @ParameterizedTest
    @ValueSource(strings = {"gpt2", "llama"})
    void outOfMemory(String fixture) {
        injectEverywhere(TestDevice.emulator()::failAllocation, fixture, "out of memory on " + DEVICE);
    }

    @ParameterizedTest
    @ValueSource(strings = {"gpt2", "llama"})
    void failingKernel(String fixture) {
        injectEverywhere(TestDevice.emulator()::failLaunch, fixture, "CUDA_ERROR_LAUNCH_FAILED");
    }

    private static long weights(String fixture) {
        try (Arena arena = Arena.ofConfined()) {
            return Checkpoint.open(Golden.ROOT.resolve(fixture), arena).bytes();
        }
    }

    @Test
    void modelLargerThanTheDevice() {
        Emulator emulator = TestDevice.emulator();
        try (CudaUnderTest cuda = CudaUnderTest.open(CudaPrecision.FP32)) {
            emulator.limitMemory(weights("gpt2") / 2);
            CudaException e = assertThrows(CudaException.class, () -> pass("gpt2", cuda.kernels()));
            assertTrue(e.getMessage().contains("KiB free"), e.getMessage());
        } finally {
            emulator.reset();
        }
    }

    @Test
    void deviceThatIsGoneWhenOpened() {
        Emulator emulator = TestDevice.emulator();
        emulator.removeDevice();
        try {
            assertTrue(CudaLoader.probe() instanceof CudaProbe.Absent);
        } finally {
            emulator.reset();
        }
        assertEquals(DEVICE, TestDevice.present().name());
    }
}

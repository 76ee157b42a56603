package obsprop.propagation;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.util.Random;
import java.util.function.LongConsumer;
import obsprop.cuda.CudaException;
import obsprop.cuda.CudaPrecision;
import obsprop.cuda.emulator.TestDevice;
import obsprop.kernel.Kernels;
import obsprop.kernel.cuda.CudaUnderTest;
import obsprop.kernel.scalar.ScalarKernels;
import obsprop.model.Transformer;
import obsprop.model.family.ModelLoader;
import obsprop.model.layer.Rules;
import obsprop.testing.Agreement;
import obsprop.testing.Golden;
import obsprop.testing.Tensors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Gradients for prompt after prompt, which the CUDA kernels record as graphs and launch. */
class CudaReplayTest {
    private static final Observable N = new Observable("n", new int[] {5, 17, 20}, new double[] {1, -1, 0.5});
    private static final int T = 7;

    private static int[] prompt(Random random, Transformer model) {
        return random.ints(T, 0, model.config().dVocab()).toArray();
    }

    private static PreparedGradient prepare(Transformer model) {
        return new PreparedGradient(model, N, T, Rules.EXACT);
    }

    private static void requireAgreement(String name, Kernels kernels, PreparedGradient expected, PreparedGradient actual, int[] ids) {
        double value = expected.run(ids);
        assertEquals(value, actual.run(ids), 5e-5 * Math.max(1, Math.abs(value)), "value");
        for (int l = 0; l < 2; l++) {
            Agreement.check(kernels, name + ", layer " + l, expected.gradient(l), actual.gradient(l), Agreement.GOLDEN);
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"gpt2", "llama", "gemma2", "gptj", "opt-postnorm"})
    void replaysAreRuns(String name) {
        try (CudaUnderTest cuda = CudaUnderTest.open(CudaPrecision.FP32)) {
            replaysAreRuns(name, cuda);
        }
    }

    private static void replaysAreRuns(String name, CudaUnderTest cuda) {
        Random random = new Random(3);
        try (Transformer oracle = ModelLoader.open(Golden.ROOT.resolve(name), ScalarKernels.float32());
                Transformer model = ModelLoader.open(Golden.ROOT.resolve(name), cuda.kernels());
                PreparedGradient expected = prepare(oracle);
                PreparedGradient actual = prepare(model)) {
            long before = launches();
            for (int run = 0; run < 5; run++) {
                requireAgreement(name, cuda.kernels(), expected, actual, prompt(random, model));
            }
            // This OPT projects its embedding, for which a pass allocates, so only its way back is recorded.
            requireLaunches(before + (name.startsWith("opt") ? 3 : 6));
            // A longer prompt moves scratch: the graphs are recorded anew.
            int more = Math.min(40, model.config().maxPositions());
            try (var longer = new PreparedGradient(model, N, more, Rules.EXACT)) {
                longer.run(random.ints(more, 0, model.config().dVocab()).toArray());
            }
            for (int run = 0; run < 3; run++) {
                int[] prompt = prompt(random, model);
                requireAgreement(name, cuda.kernels(), expected, actual, prompt);
                assertArrayEquals(prompt, actual.activations().tokenIds());
            }
        }
    }

    private static long launches() {
        return TestDevice.mustBeReal() ? 0 : TestDevice.emulator().graphLaunches();
    }

    private static void requireLaunches(long expected) {
        if (!TestDevice.mustBeReal()) {
            assertEquals(expected, launches(), "launches of graphs");
        }
    }

    /** Whether the fault that comes at the n-th chance came, and came as one clear error or was got round. */
    private static boolean injectAt(LongConsumer fault, int n, String message) {
        try (CudaUnderTest cuda = CudaUnderTest.open(CudaPrecision.FP32);
                Transformer model = ModelLoader.open(Golden.ROOT.resolve("gpt2"), cuda.kernels())) {
            Random random = new Random(5);
            fault.accept(n);
            try (PreparedGradient gradient = prepare(model)) {
                for (int run = 0; run < 5; run++) {
                    gradient.run(prompt(random, model));
                    Tensors.onHost(Arena.ofAuto(), cuda.kernels(), gradient.gradient(0));
                }
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
        for (int n = 1; injectAt(fault, n, message); n += 1 + n / 5) {
            met++;
        }
        System.out.println(met + " times, " + message);
        assertTrue(met > 5, met + " faults met");
    }

    @Test
    void outOfMemory() {
        injectEverywhere(TestDevice.emulator()::failAllocation, "out of memory on ");
    }

    @Test
    void failingKernel() {
        injectEverywhere(TestDevice.emulator()::failLaunch, "CUDA_ERROR_LAUNCH_FAILED");
    }
}

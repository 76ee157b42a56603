package obsprop.propagation;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.sun.management.ThreadMXBean;
import java.lang.foreign.Arena;
import java.lang.management.ManagementFactory;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import obsprop.kernel.Kernels;
import obsprop.kernel.cpu.CpuKernels;
import obsprop.kernel.cpu.WarmKernels;
import obsprop.model.ActivationCache;
import obsprop.model.Batch;
import obsprop.model.Transformer;
import obsprop.model.family.ModelLoader;
import obsprop.model.layer.Rules;
import obsprop.tensor.Tensor;
import obsprop.testing.Backends;
import obsprop.testing.Golden;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** The path for programs that wait for the answer: the same numbers, no garbage. */
class PreparedGradientTest {
    private static final Observable N = new Observable("n", new int[] {5, 17, 20}, new double[] {1, -1, 0.5});
    private static final int T = 12;
    /** On a busy machine the compiler comes late. */
    private static final int SECONDS_TO_WARM = 90;

    static Stream<Arguments> fixtures() {
        return Stream.of("gpt_neo", "gptj", "gemma2", "opt-postnorm")
                .flatMap(name -> Backends.all().map(k -> Arguments.of(name, k)));
    }

    @ParameterizedTest(autoCloseArguments = false)
    @MethodSource("fixtures")
    void isTheGeneralWay(String name, Kernels kernels) {
        var random = new Random(3);
        try (Arena arena = Arena.ofShared();
                Transformer model = ModelLoader.open(Golden.ROOT.resolve(name), kernels);
                var prepared = new PreparedGradient(model, N, T, Rules.FROZEN_NORM)) {
            var propagator = new Propagator(model);
            for (int run = 0; run < 3; run++) {
                int[] prompt = random.ints(T, 0, model.config().dVocab()).toArray();
                double value = prepared.run(prompt);
                try (ActivationCache cache = model.forward(Batch.of(prompt))) {
                    Tensor logits = propagator.logits(cache.residual(model.config().nLayers()).slice(0, T - 1, T));
                    double expected = N.value(logits.select(0, 0));
                    assertEquals(expected, value, 1e-5 * Math.max(1, Math.abs(expected)), "value");
                    Tensor all = propagator.gradients(
                            cache, List.of(new Propagator.Target(N, T - 1)), Rules.FROZEN_NORM, arena);
                    for (int l = 0; l <= model.config().nLayers(); l++) {
                        assertArrayEquals(all.select(0, 0).select(0, l).toDoubles(),
                                prepared.gradient(l).toDoubles(), "layer " + l);
                    }
                }
            }
            assertThrows(IllegalArgumentException.class, () -> prepared.run(new int[T + 1]));
        }
    }

    /** What the JIT still leaves on the heap once it had its time, by the JVM's own count. */
    @Test
    void allocatesNothingOnceWarm() {
        var threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        int[] prompt = new Random(4).ints(T, 0, Golden.vocabulary("gpt_neo")).toArray();
        try (CpuKernels kernels = WarmKernels.create(1);
                Transformer model = ModelLoader.open(Golden.ROOT.resolve("gpt_neo"), kernels);
                var prepared = new PreparedGradient(model, N, T, Rules.EXACT)) {
            long least = Long.MAX_VALUE;
            long patience = System.nanoTime() + SECONDS_TO_WARM * 1_000_000_000L;
            while (least > 0 && System.nanoTime() < patience) {
                long before = threads.getCurrentThreadAllocatedBytes();
                for (int call = 0; call < 200; call++) {
                    prepared.run(prompt);
                }
                least = Math.min(least, (threads.getCurrentThreadAllocatedBytes() - before) / 200);
            }
            System.out.println("prepared gradient, gpt_neo fixture: " + least + " bytes a call");
            assertEquals(0, least, "bytes allocated a call");
        }
    }
}

package obsprop.model;

import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import obsprop.kernel.Kernels;
import obsprop.kernel.NormParameters;
import obsprop.kernel.Write;
import obsprop.kernel.scalar.ScalarKernels;
import obsprop.model.family.ModelLoader;
import obsprop.model.layer.Attention;
import obsprop.model.layer.Block;
import obsprop.model.layer.Norm;
import obsprop.model.layer.Rules;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;
import obsprop.testing.Golden;
import obsprop.testing.Measured;
import obsprop.testing.Tolerance;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Attention with its pattern held constant, between norms with their rstd held constant, is linear in the residual stream:
 * a forward pass written here from that definition has vanishing second differences, and frozen-both is its transpose. MLPs
 * stay what they are, so this goes from a block's middle down to its input.
 */
class FrozenModelTest {
    private static final int T = 9;

    @ParameterizedTest
    @ValueSource(strings = {"gpt2", "gpt_neo", "llama", "qwen3", "gemma2", "olmo2"})
    void frozenAttentionIsLinearAndTheVjpItsTranspose(String name) {
        Kernels kernels = ScalarKernels.float64();
        var random = new Random(17);
        try (Arena arena = Arena.ofShared();
                Transformer model = ModelLoader.open(Golden.ROOT.resolve(name), kernels);
                ActivationCache cache = model.forward(Batch.of(random.ints(T, 0, model.config().dVocab()).toArray()));
                Backward backward = new Backward(cache, 1);
                Measured measured = new Measured(name + ", frozen attention")) {
            int d = model.config().dModel();
            for (int layer = 0; layer < model.config().nLayers(); layer++) {
                Frozen frozen = new Frozen(cache, layer, arena);
                Tensor x = random(kernels, random, arena, d);
                Tensor step = random(kernels, random, arena, d);
                double[] at = frozen.middle(x).toDoubles();
                double[] ahead = frozen.middle(sum(kernels, x, 1, step, arena)).toDoubles();
                double[] behind = frozen.middle(sum(kernels, x, -1, step, arena)).toDoubles();
                double[] u = random(kernels, random, arena, d).toDoubles();
                double alongStep = 0;
                double magnitude = 1;
                for (int i = 0; i < at.length; i++) {
                    magnitude = Math.max(magnitude, Math.abs(at[i]) + Math.abs(ahead[i]) + Math.abs(behind[i]));
                    alongStep += u[i] * (ahead[i] - behind[i]) / 2;
                }
                double tolerance = Tolerance.of(DType.F64, T * d, magnitude);
                for (int i = 0; i < at.length; i++) {
                    measured.check("second difference, layer " + layer, ahead[i] - 2 * at[i] + behind[i], 0, tolerance);
                }
                double pulled = pullBack(backward, kernels, layer, u, step.toDoubles(), arena);
                measured.check("adjoint, layer " + layer, pulled, alongStep, tolerance * at.length);
            }
        }
    }

    /** {@code <J^T u, step>} by the frozen-both VJP from the middle of a block. */
    private static double pullBack(
            Backward backward, Kernels kernels, int layer, double[] u, double[] step, Arena arena) {
        int d = u.length / T;
        List<Injection> injections = new ArrayList<>();
        for (int t = 0; t < T; t++) {
            Tensor row = kernels.allocate(arena, 1, d);
            for (int i = 0; i < d; i++) {
                row.set(u[t * d + i], 0, i);
            }
            injections.add(new Injection(0, layer, Point.MIDDLE, t, row));
        }
        double[] sum = new double[1];
        backward.sweep(1, injections, Rules.FROZEN_BOTH, layer, (l, point, first, rows) -> {
            if (point == Point.INPUT) {
                double[] pulled = rows.toDoubles();
                for (int i = 0; i < step.length; i++) {
                    sum[0] += pulled[i] * step[i];
                }
            }
        });
        return sum[0];
    }

    private static Tensor random(Kernels kernels, Random random, Arena arena, int d) {
        Tensor x = kernels.allocate(arena, T, d);
        for (int t = 0; t < T; t++) {
            for (int i = 0; i < d; i++) {
                x.set(random.nextDouble() * 2 - 1, t, i);
            }
        }
        return x;
    }

    private static Tensor sum(Kernels kernels, Tensor x, double factor, Tensor step, Arena arena) {
        Tensor y = kernels.allocate(arena, x.shape());
        kernels.copy(x, y);
        kernels.addScaled(factor, step, y);
        return y;
    }

    /** One attention sublayer with the pattern and the norms' statistics of a finished pass, by their definitions. */
    private static final class Frozen {
        private final Kernels kernels;
        private final Block block;
        private final Block.State state;
        private final Tensor pattern;
        private final Arena arena;

        Frozen(ActivationCache cache, int layer, Arena arena) {
            this.kernels = cache.model().kernels();
            this.block = cache.model().block(layer);
            this.state = cache.state(layer);
            this.pattern = cache.pattern(layer, 0, arena);
            this.arena = arena;
        }

        /** {@code x + postNorm(sum_h W_O[h] A_h W_V[h] norm(x))} for x [T,d]. */
        Tensor middle(Tensor x) {
            Attention attention = block.attention();
            Tensor normed = frozenNorm(block.attentionInput(), state.stats().attentionInput(), x);
            Tensor written = kernels.allocate(arena, x.shape());
            for (int h = 0; h < attention.nHeads(); h++) {
                Tensor values = kernels.allocate(arena, T, attention.dHead());
                attention.value(h).forward(kernels, normed, values, Write.OVERWRITE);
                Tensor mixed = kernels.allocate(arena, T, attention.dHead());
                for (int t = 0; t < T; t++) {
                    for (int j = 0; j <= t; j++) {
                        kernels.addScaled(pattern.get(h, t, j), values.slice(0, j, j + 1), mixed.slice(0, t, t + 1));
                    }
                }
                attention.output(h).forward(kernels, mixed, written, Write.ACCUMULATE);
            }
            attention.output().bias().ifPresent(bias -> kernels.broadcast(bias, written, Write.ACCUMULATE));
            Tensor after = frozenNorm(block.attentionOutput(), state.stats().attentionOutput(), written);
            return sum(kernels, x, 1, after, arena);
        }

        private Tensor frozenNorm(Norm norm, Tensor stats, Tensor x) {
            if (!(norm instanceof Norm.Normalise(var p))) {
                return x;
            }
            int d = x.size(1);
            Tensor y = kernels.allocate(arena, x.shape());
            for (int t = 0; t < T; t++) {
                double mean = 0;
                for (int i = 0; i < d && p.kind() == NormParameters.Kind.LAYER; i++) {
                    mean += x.get(t, i) / d;
                }
                for (int i = 0; i < d; i++) {
                    double bias = p.bias().isPresent() ? p.bias().get().get(i) : 0;
                    double gain = p.gainOffset() + p.gain().get(i);
                    y.set(gain * (x.get(t, i) - mean) * stats.get(t, 1) + bias, t, i);
                }
            }
            return y;
        }
    }
}

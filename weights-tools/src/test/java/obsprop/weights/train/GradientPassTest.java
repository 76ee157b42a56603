package obsprop.weights.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import obsprop.kernel.Kernels;
import obsprop.kernel.cpu.CpuKernels;
import obsprop.kernel.scalar.ScalarKernels;
import obsprop.model.Batch;
import obsprop.model.Transformer;
import obsprop.model.family.ModelLoader;
import obsprop.model.io.Checkpoint;
import obsprop.model.io.Config;
import obsprop.tensor.Tensor;
import obsprop.tensor.io.SafetensorsFile;
import obsprop.weights.Program;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class GradientPassTest {
    /** Agreement with the reference: absolute, against the largest value of the tensor where that exceeds 1. */
    private static final double TOLERANCE = 5e-5;

    private static final double STEP = 3e-4;

    private static final int SOME_ELEMENTS = 6;

    @ParameterizedTest
    @ValueSource(strings = {"gpt2", "gpt_neo", "llama"})
    void gradientsAreThoseOfTheReference(String family) {
        try (CpuKernels fast = CpuKernels.create(2)) {
            for (Kernels kernels : new Kernels[] {ScalarKernels.float32(), fast}) {
                check(Program.golden(family), kernels);
            }
        }
    }

    private static void check(Path dir, Kernels kernels) {
        Arena arena = Arena.ofShared();
        Checkpoint checkpoint = Checkpoint.open(dir, arena);
        Parameters parameters = new Parameters(checkpoint, kernels, arena);
        try (Transformer model = ModelLoader.build(Config.read(dir), checkpoint, kernels, arena)) {
            SafetensorsFile expected = SafetensorsFile.open(dir.resolve("expected.safetensors"), arena);
            Tensor ids = expected.tensor("input_ids");
            double loss = run(model, parameters, ids);
            double lossError = Math.abs(loss - expected.tensor("loss").get(0));
            SafetensorsFile gradients = SafetensorsFile.open(dir.resolve("parameter_gradients.safetensors"), arena);
            assertEquals(gradients.names(), parameters.names());
            double worst = 0;
            for (String name : gradients.names()) {
                worst = Math.max(worst, error(gradients.tensor(name), parameters.gradient(name)));
            }
            System.out.printf("%s, %s: loss %.6f (off by %.2g), largest error of a gradient %.3g%n",
                    dir.getFileName(), kernels.describe(), loss, lossError, worst);
            assertTrue(lossError < TOLERANCE);
            assertTrue(worst < TOLERANCE);
        }
    }

    private static double error(Tensor expected, Tensor actual) {
        double[] e = expected.toDoubles();
        double[] a = actual.toDoubles();
        double scale = Math.max(1, Arrays.stream(e).map(Math::abs).max().orElse(0));
        double worst = 0;
        for (int i = 0; i < e.length; i++) {
            worst = Math.max(worst, Math.abs(e[i] - a[i]) / scale);
        }
        return worst;
    }

    private static double run(Transformer model, Parameters parameters, Tensor ids) {
        int[][] prompts = new int[ids.size(0)][ids.size(1)];
        int[] targets = new int[ids.size(0) * ids.size(1)];
        for (int b = 0, row = 0; b < prompts.length; b++) {
            for (int t = 0; t < prompts[b].length; t++, row++) {
                prompts[b][t] = (int) ids.get(b, t);
                boolean last = t == prompts[b].length - 1;
                targets[row] = last ? CrossEntropy.NO_TARGET : (int) ids.get(b, t + 1);
            }
        }
        return new GradientPass(model, parameters).run(Batch.of(prompts), targets);
    }

    /** The loss itself, moved along single parameters, in double: an independent proof on ragged prompts. */
    @ParameterizedTest
    @ValueSource(strings = {"gpt_neo", "qwen2", "mistral"})
    void gradientsAreSlopes(String family) {
        Path dir = Program.golden(family);
        Kernels kernels = ScalarKernels.float64();
        Arena arena = Arena.ofShared();
        Checkpoint checkpoint = Checkpoint.open(dir, arena, SafetensorsFile.Access.PRIVATE_COPY);
        Parameters parameters = new Parameters(checkpoint, kernels, arena);
        try (Transformer model = ModelLoader.build(Config.read(dir), checkpoint, kernels, arena)) {
            GradientPass pass = new GradientPass(model, parameters);
            int last = model.config().dVocab() - 1;
            Batch batch = Batch.of(new int[] {5, 17, last - 20, 3, 3}, new int[] {12}, new int[] {9, last, 0});
            int[] targets = {17, last - 20, CrossEntropy.NO_TARGET, 3, last - 1, 1, last, 0, 7};
            pass.run(batch, targets);
            Map<String, double[]> gradients = new HashMap<>();
            parameters.names().forEach(name -> gradients.put(name, parameters.gradient(name).toDoubles()));
            double worst = 0;
            for (String name : parameters.names()) {
                double[] gradient = gradients.get(name);
                for (int probe = 0; probe < SOME_ELEMENTS; probe++) {
                    int i = (int) ((long) gradient.length * probe / SOME_ELEMENTS);
                    double slope = slope(pass, batch, targets, parameters.value(name), i);
                    worst = Math.max(worst, Math.abs(slope - gradient[i]) / Math.max(1, Math.abs(slope)));
                }
            }
            System.out.printf("%s: largest difference between gradient and slope %.3g%n", family, worst);
            assertTrue(worst < 2e-6);
        }
    }

    /** Central difference; the step is what single precision makes of it. */
    private static double slope(GradientPass pass, Batch batch, int[] targets, Tensor parameter, int i) {
        double before = parameter.read(i);
        parameter.write(i, before + STEP);
        double stepUp = parameter.read(i) - before;
        double up = pass.run(batch, targets);
        parameter.write(i, before - STEP);
        double stepDown = before - parameter.read(i);
        double down = pass.run(batch, targets);
        parameter.write(i, before);
        return (up - down) / (stepUp + stepDown);
    }

    @Test
    void uncoveredFamiliesAreRefused() {
        Path dir = Program.golden("gemma2");
        Kernels kernels = ScalarKernels.float32();
        Arena arena = Arena.ofShared();
        Checkpoint checkpoint = Checkpoint.open(dir, arena);
        Parameters parameters = new Parameters(checkpoint, kernels, arena);
        try (Transformer model = ModelLoader.build(Config.read(dir), checkpoint, kernels, arena)) {
            assertThrows(IllegalArgumentException.class, () -> new GradientPass(model, parameters));
        }
    }
}

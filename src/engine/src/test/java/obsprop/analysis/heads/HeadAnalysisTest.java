package obsprop.analysis.heads;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import obsprop.kernel.Kernels;
import obsprop.kernel.NormParameters;
import obsprop.kernel.NormRule;
import obsprop.kernel.scalar.ScalarKernels;
import obsprop.model.Transformer;
import obsprop.model.family.ModelLoader;
import obsprop.model.layer.Block;
import obsprop.model.layer.Linear;
import obsprop.model.layer.Norm;
import obsprop.propagation.Observable;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;
import obsprop.tensor.io.SafetensorsFile;
import obsprop.testing.Agreement;
import obsprop.testing.Golden;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;

class HeadAnalysisTest {
    private static final Kernels SINGLE = ScalarKernels.float32();

    @Test
    void agreesWithTheReferenceNotebook() {
        try (Arena arena = Arena.ofShared()) {
            Golden golden = Golden.open("gpt_neo", arena);
            SafetensorsFile notebook =
                    SafetensorsFile.open(golden.directory().resolve("reference_notebook.safetensors"), arena);
            Observable second = Observable.dense("second", notebook.tensor("second_observable").toDoubles());
            try (Transformer model = ModelLoader.open(golden.directory(), SINGLE)) {
                HeadTable table =
                        new HeadAnalysis(model, HeadNormRule.NONE).table(List.of(golden.observable(), second));
                check(notebook, "head_norm", table, (l, h) -> table.norm(l, h, 0));
                check(notebook, "head_cosine", table, (l, h) -> table.cosine(l, h, 0, 1));
                check(notebook, "head_coupling", table, (l, h) -> table.coupling(l, h, 0, 1));
            }
        }
    }

    private interface Cell {
        double at(int layer, int head);
    }

    private static void check(SafetensorsFile notebook, String name, HeadTable table, Cell cell) {
        double[] actual = IntStream.range(0, table.nLayers() * table.nHeads())
                .mapToDouble(i -> cell.at(i / table.nHeads(), i % table.nHeads()))
                .toArray();
        double error = Agreement.error("gpt_neo notebook, " + name, notebook.tensor(name).toDoubles(), actual);
        assertTrue(error <= Agreement.GOLDEN);
    }

    static List<String> fixtures() {
        return Golden.names();
    }

    /** {@code ||g_in * W_V^T W_O^T (g_out * g_final * W_U^T n)||}, by loops over the weights. */
    @ParameterizedTest
    @MethodSource("fixtures")
    void gainsStandOnTheirSidesOfTheOvCircuit(String name) {
        try (Arena arena = Arena.ofShared()) {
            Golden golden = Golden.open(name, arena);
            try (Transformer model = ModelLoader.open(golden.directory(), ScalarKernels.float64())) {
                if (!model.hasDirectEffects()) {
                    assertThrows(IllegalArgumentException.class, () -> new HeadAnalysis(model, HeadNormRule.WEIGHT_ONLY));
                    return;
                }
                HeadTable table = new HeadAnalysis(model, HeadNormRule.WEIGHT_ONLY).table(List.of(golden.observable()));
                double[] y = times(finalGain(model), golden.tensor("unembedded_observable").toDoubles());
                int last = table.nLayers() - 1;
                for (int h = 0; h < table.nHeads(); h++) {
                    Block block = model.block(last);
                    double[] mixed = pulled(block.attention().output(h), times(gain(block.attentionOutput(), y.length), y));
                    double[] feature = times(
                            gain(block.attentionInput(), y.length), pulled(block.attention().value(h), mixed));
                    double expected = Math.sqrt(IntStream.range(0, y.length).mapToDouble(i -> feature[i] * feature[i]).sum());
                    assertEquals(expected, table.norm(last, h, 0), Agreement.GOLDEN * Math.max(1, expected));
                }
            }
        }
    }

    private static double[] pulled(Linear map, double[] dy) {
        double[] dx = new double[map.inputs()];
        for (int o = 0; o < map.outputs(); o++) {
            for (int i = 0; i < map.inputs(); i++) {
                Tensor w = map.weight();
                dx[i] += dy[o] * (map.layout() == Linear.Layout.OUT_IN ? w.get(o, i) : w.get(i, o));
            }
        }
        return dx;
    }

    private static double[] gain(Norm norm, int d) {
        double[] gain = IntStream.range(0, d).mapToDouble(i -> 1).toArray();
        if (norm instanceof Norm.Normalise(NormParameters p)) {
            for (int i = 0; i < d; i++) {
                gain[i] = p.gainOffset() + p.gain().get(i);
            }
        }
        return gain;
    }

    /** The final norm's effective gain, as its VJP under the weight-only rule shows it. */
    private static double[] finalGain(Transformer model) {
        try (Arena arena = Arena.ofShared()) {
            int d = model.config().dModel();
            Kernels kernels = model.kernels();
            Tensor ones = Tensor.allocate(arena, DType.F64, 1, d);
            for (int i = 0; i < d; i++) {
                ones.set(1, 0, i);
            }
            Tensor gain = Tensor.allocate(arena, DType.F64, 1, d);
            model.finalNormVjp(kernels.allocate(arena, 1, d), ones, NormRule.WEIGHT_ONLY, gain);
            return gain.toDoubles();
        }
    }

    private static double[] times(double[] a, double[] b) {
        return IntStream.range(0, a.length).mapToDouble(i -> a[i] * b[i]).toArray();
    }

    /** A p-value counts the draws that are at least as large, and depends on nothing but the seed. */
    @ParameterizedTest
    @ValueSource(ints = {1, 70})
    void permutationNull(int draws) {
        try (Arena arena = Arena.ofShared()) {
            Golden golden = Golden.open("llama", arena);
            try (Transformer model = ModelLoader.open(golden.directory(), SINGLE)) {
                var analysis = new HeadAnalysis(model, HeadNormRule.WEIGHT_ONLY);
                Observable large = new Observable("large", new int[] {3, 5}, new double[] {1e3, -1e3});
                Observable small = Observable.difference("small", 3, 5);
                var p = new HeadNull(analysis, draws, 11).test(List.of(small, large));
                for (int l = 0; l < model.config().nLayers(); l++) {
                    for (int h = 0; h < model.config().nHeads(); h++) {
                        assertEquals(1.0 / (1 + draws), p.cosine()[0][1][l][h], 1e-12, "parallel vectors are extreme");
                        double cell = p.norm()[0][l][h] * (1 + draws);
                        assertEquals(Math.rint(cell), cell, 1e-9);
                        assertTrue(cell >= 1 && cell <= 1 + draws);
                    }
                }
                var again = new HeadNull(analysis, draws, 11).test(List.of(small, large));
                assertEquals(p.norm()[1][0][0], again.norm()[1][0][0]);
            }
        }
    }

    /** An observable that is itself drawn at random has p-values spread evenly over (0, 1]. */
    @Test
    void pValuesOfRandomObservablesAreUniform() {
        try (Arena arena = Arena.ofShared()) {
            Golden golden = Golden.open("gpt_neo", arena);
            try (Transformer model = ModelLoader.open(golden.directory(), SINGLE)) {
                var analysis = new HeadAnalysis(model, HeadNormRule.NONE);
                var random = new Random(3);
                int n = 40;
                double mean = 0;
                for (int i = 0; i < n; i++) {
                    int[] ids = random.ints(0, model.config().dVocab()).distinct().limit(2).toArray();
                    var observable = new Observable("random", ids, new double[] {1, -1});
                    mean += new HeadNull(analysis, 60, i).test(List.of(observable)).norm()[0][1][model.config().nHeads() - 1] / n;
                }
                System.out.println("mean p-value of random observables " + mean);
                assertEquals(0.5, mean, 4 * Math.sqrt(1.0 / 12 / n));
            }
        }
    }
}

package obsprop.analysis.lens;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.lang.foreign.Arena;
import java.util.Comparator;
import java.util.List;
import java.util.Random;
import obsprop.analysis.statistics.Vectors;
import obsprop.kernel.scalar.ScalarKernels;
import obsprop.model.ActivationCache;
import obsprop.model.Batch;
import obsprop.model.Transformer;
import obsprop.model.family.ModelLoader;
import obsprop.propagation.Observable;
import obsprop.propagation.Propagator;
import obsprop.testing.Golden;
import obsprop.testing.Measured;
import obsprop.testing.Tensors;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class LensTest {
    static List<String> fixtures() {
        return Golden.names();
    }

    @ParameterizedTest
    @MethodSource("fixtures")
    void unembeddingSideIsThePullBackOfEachToken(String name) {
        try (Arena arena = Arena.ofShared();
                Transformer model = ModelLoader.open(Golden.ROOT.resolve(name), ScalarKernels.float64());
                Measured measured = new Measured("lens, unembedding, " + name)) {
            double[] y = Tensors.random(new Random(1), 1, model.config().dModel());
            List<Lens.Alignment> all = new Lens(model, Lens.Side.UNEMBEDDING).alignments(y);
            assertEquals(model.config().dVocab(), all.size());
            for (int t = 0; t < all.size(); t++) {
                var n = new Observable("token", new int[] {t}, new double[] {1});
                double[] row = new Propagator(model).unembed(List.of(n), arena).toDoubles();
                measured.check("dot", all.get(t).dot(), Vectors.dot(row, y), 1e-12);
                measured.check("cosine", all.get(t).cosine(), Vectors.cosine(row, y), 1e-12);
            }
            for (Lens.Measure measure : Lens.Measure.values()) {
                var best = all.stream().max(Comparator.comparingDouble(measure::of)).orElseThrow();
                var worst = all.stream().min(Comparator.comparingDouble(measure::of)).orElseThrow();
                assertEquals(best, Lens.top(all, measure, 3).getFirst());
                assertEquals(worst, Lens.bottom(all, measure, 3).getFirst());
            }
        }
    }

    /** Two prompts of one token each differ at layer 0 by the difference of their embeddings. */
    @ParameterizedTest
    @MethodSource("fixtures")
    void embeddingSideIsWhatTheStreamStartsFrom(String name) {
        try (Transformer model = ModelLoader.open(Golden.ROOT.resolve(name), ScalarKernels.float64());
                Measured measured = new Measured("lens, embedding, " + name)) {
            double[] y = Tensors.random(new Random(1), 1, model.config().dModel());
            List<Lens.Alignment> all = new Lens(model, Lens.Side.EMBEDDING).alignments(y);
            double first = Vectors.dot(y, embedded(model, 0));
            for (int t : new int[] {1, 7, all.size() - 1}) {
                double second = Vectors.dot(y, embedded(model, t));
                measured.check("token " + t, all.get(t).dot() - all.get(0).dot(), second - first, 1e-11);
            }
            assertThrows(IllegalArgumentException.class,
                    () -> new Lens(model, Lens.Side.EMBEDDING).alignments(new double[3]));
        }
    }

    private static double[] embedded(Transformer model, int token) {
        try (ActivationCache cache = model.forward(Batch.of(new int[] {token}))) {
            return cache.residual(0).toDoubles();
        }
    }
}

package obsprop.propagation;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.lang.foreign.Arena;
import java.util.List;
import obsprop.kernel.Kernels;
import obsprop.kernel.scalar.ScalarKernels;
import obsprop.model.ActivationCache;
import obsprop.model.Batch;
import obsprop.model.Keep;
import obsprop.model.Point;
import obsprop.model.Transformer;
import obsprop.model.family.ModelLoader;
import obsprop.tensor.Tensor;
import obsprop.testing.Golden;
import obsprop.testing.Tensors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class RerunTest {
    private final Kernels kernels = ScalarKernels.float32();

    static List<String> fixtures() {
        return Golden.names();
    }

    /** With another prompt's residual stream put in, the rest must be that prompt's pass, to the bit. */
    @ParameterizedTest
    @MethodSource("fixtures")
    void continuesAnotherPass(String name) {
        try (Arena arena = Arena.ofShared();
                Transformer model = ModelLoader.open(Golden.open(name, arena).directory(), kernels)) {
            int[][] prompts = Golden.open(name, arena).prompts("input_ids");
            Batch first = Batch.of(prompts[0], prompts[1]);
            Batch second = Batch.of(prompts[1], prompts[0]);
            int layers = model.config().nLayers();
            try (ActivationCache clean = model.forward(first);
                    ActivationCache other = model.forward(second, Keep.RESIDUALS, layers);
                    Rerun rerun = new Rerun(model, first.segments())) {
                for (int l = 0; l <= layers; l++) {
                    same(clean, other, rerun, l, Point.INPUT);
                    if (l < layers && model.block(l).hasMiddle()) {
                        same(clean, other, rerun, l, Point.MIDDLE);
                    }
                }
            }
        }
    }

    private void same(ActivationCache clean, ActivationCache other, Rerun rerun, int layer, Point point) {
        Tensor last = rerun.run(clean, layer, point, x -> kernels.copy(other.residual(layer, point), x));
        int layers = clean.model().config().nLayers();
        assertEquals(0, Tensors.largestDifference(other.residual(layers), last), layer + " " + point);
    }

    @Test
    void refusesWhatIsNotThere() {
        try (Arena arena = Arena.ofShared();
                Transformer model = ModelLoader.open(Golden.open("gptj", arena).directory(), kernels);
                ActivationCache pass = model.forward(Batch.of(new int[] {1, 2, 3}));
                Rerun rerun = new Rerun(model, pass.segments());
                Rerun longer = new Rerun(model, Batch.of(new int[4]).segments())) {
            assertThrows(IllegalArgumentException.class, () -> rerun.run(pass, 0, Point.MIDDLE, x -> {}));
            assertThrows(IllegalArgumentException.class, () -> rerun.run(pass, 99, Point.INPUT, x -> {}));
            assertThrows(IllegalArgumentException.class, () -> longer.run(pass, 0, Point.INPUT, x -> {}));
        }
    }
}

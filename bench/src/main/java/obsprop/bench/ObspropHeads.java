package obsprop.bench;

import java.lang.foreign.Arena;
import obsprop.model.ModelConfig;
import obsprop.model.Transformer;
import obsprop.propagation.HeadFeatures;
import obsprop.tensor.Tensor;

/** The engine itself, on the kernels that the model was opened with. */
public final class ObspropHeads implements HeadPuller {
    private final Arena arena = Arena.ofShared();
    private HeadFeatures heads;
    private Tensor directions;
    private Tensor features;
    private int layers;

    @Override
    public String name() {
        return "obsprop";
    }

    @Override
    public void prepare(Transformer model, int threads, float[] y) {
        ModelConfig config = model.config();
        int count = y.length / config.dModel();
        layers = config.nLayers();
        heads = new HeadFeatures(model, count);
        directions = Tensor.ofFloats(arena, y, count, config.dModel());
        features = model.kernels().allocate(arena, count, config.nHeads(), config.dModel());
    }

    @Override
    public void run() {
        for (int layer = 0; layer < layers; layer++) {
            heads.layer(layer, directions, features);
        }
    }

    @Override
    public float element(int head, int i) {
        return (float) features.get(0, head, i);
    }

    @Override
    public void close() {
        heads.close();
        arena.close();
    }
}

package obsprop.bench.peers;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDArrays;
import ai.djl.ndarray.NDList;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.Shape;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import obsprop.bench.HeadPuller;
import obsprop.model.ModelConfig;
import obsprop.model.Transformer;
import obsprop.model.layer.Attention;

/** libtorch by DJL: the fastest here of a few expressions of the same products, which {@link #prepare} finds by timing. */
public final class LibTorchHeads implements HeadPuller {
    private static final int TRIES = 5;

    private final Map<String, Runnable> expressions = new TreeMap<>();
    private final List<NDArray> outputs = new ArrayList<>();
    private final List<NDArray> values = new ArrayList<>();
    private NDManager manager;
    private NDArray allOutputs;
    private NDArray allOutputsTransposed;
    private NDArray allValues;
    private NDArray y;
    private NDArray features;
    private Runnable fastest;
    private int layers;
    private int heads;
    private int dHead;
    private int dModel;

    @Override
    public String name() {
        return "libtorch";
    }

    @Override
    public void prepare(Transformer model, int threads, float[] directions) {
        ModelConfig c = model.config();
        layers = c.nLayers();
        heads = c.nHeads();
        dHead = c.dHead();
        dModel = c.dModel();
        manager = Torch.open(threads);
        y = Torch.copy(manager, directions, new Shape(directions.length / dModel, dModel));
        features = manager.zeros(new Shape(1));
        place(model);
        expressions.put("a product and a batch of heads for each layer", this::byLayer);
        expressions.put("a batch of layers, then a batch of all heads", this::stacked);
        expressions.put("one product with all W_O turned, then a batch of all heads", this::turned);
        choose();
    }

    private void place(Transformer model) {
        try (NDList o = new NDList(); NDList v = new NDList()) {
            for (var block : model.blocks()) {
                Attention attention = block.attention();
                o.add(Torch.copy(manager, attention.output().weight()));
                NDArray all = Torch.copy(manager, attention.projection().parts().get(2).weight());
                v.add(all.reshape(heads, dHead, dModel));
            }
            allOutputs = NDArrays.stack(o);
            allValues = NDArrays.concat(v);
        }
        try (NDArray turned = allOutputs.transpose(0, 2, 1)) {
            allOutputsTransposed = turned.reshape(layers * heads * dHead, dModel).duplicate();
        }
        for (int l = 0; l < layers; l++) {
            outputs.add(allOutputs.get(l));
            values.add(allValues.get("{}:{}", l * heads, (l + 1) * heads));
        }
    }

    private void choose() {
        long best = Long.MAX_VALUE;
        for (var expression : expressions.entrySet()) {
            long shortest = Long.MAX_VALUE;
            for (int i = 0; i < TRIES; i++) {
                long start = System.nanoTime();
                expression.getValue().run();
                shortest = Math.min(shortest, System.nanoTime() - start);
            }
            System.out.printf("%nlibtorch, %s: %.1f ms", expression.getKey(), shortest * 1e-6);
            if (shortest < best) {
                best = shortest;
                fastest = expression.getValue();
            }
        }
        System.out.println();
    }

    private void byLayer() {
        for (int l = 0; l < layers; l++) {
            keep(pull(y.matMul(outputs.get(l)), values.get(l), heads));
        }
    }

    private void stacked() {
        NDArray mixed = y.expandDims(0).matMul(allOutputs);
        try (mixed; NDArray byHead = mixed.reshape(layers, y.getShape().get(0), heads, dHead).transpose(0, 2, 1, 3)) {
            keep(byHead.reshape(layers * heads, y.getShape().get(0), dHead).matMul(allValues));
        }
    }

    private void turned() {
        keep(pull(y.matMul(allOutputsTransposed.transpose()), allValues, layers * heads));
    }

    /** From weighted values [K, n D], which are freed, to features [n,K,d]. */
    private NDArray pull(NDArray mixed, NDArray weights, int n) {
        try (mixed; NDArray split = mixed.reshape(mixed.getShape().get(0), n, dHead); NDArray byHead = split.transpose(1, 0, 2)) {
            return byHead.matMul(weights);
        }
    }

    private void keep(NDArray result) {
        features.close();
        features = result;
    }

    @Override
    public void run() {
        fastest.run();
    }

    @Override
    public float element(int head, int i) {
        return features.getFloat(features.getShape().get(0) - heads + head, 0, i);
    }

    @Override
    public void close() {
        manager.close();
    }
}

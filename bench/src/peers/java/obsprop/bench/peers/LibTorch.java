package obsprop.bench.peers;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.Shape;
import java.util.ArrayList;
import java.util.List;
import obsprop.bench.Multiplier;

/** libtorch by DJL. Results are freed at once, as its allocator likes. */
public final class LibTorch implements Multiplier {
    private NDManager manager;
    private final List<NDArray> weights = new ArrayList<>();
    private final List<NDArray> transposed = new ArrayList<>();
    private NDArray x;
    private NDArray y;
    private NDArray dx;

    @Override
    public String name() {
        return "libtorch";
    }

    @Override
    public void prepare(int threads, float[] input, float[] weight, int copies, int tokens, int out, int in) {
        manager = Torch.open(threads);
        x = Torch.copy(manager, input, new Shape(tokens, in));
        y = manager.zeros(new Shape(tokens, out));
        dx = manager.zeros(new Shape(tokens, in));
        for (int i = 0; i < copies; i++) {
            NDArray w = Torch.copy(manager, weight, new Shape(out, in));
            weights.add(w);
            transposed.add(w.transpose());
        }
    }

    @Override
    public void forward(int copy) {
        NDArray result = x.matMul(transposed.get(copy));
        y.close();
        y = result;
    }

    @Override
    public void backward(int copy) {
        NDArray result = y.matMul(weights.get(copy));
        dx.close();
        dx = result;
    }

    @Override
    public float[] y() {
        return y.toFloatArray();
    }

    @Override
    public float[] dx() {
        return dx.toFloatArray();
    }

    @Override
    public void close() {
        manager.close();
    }
}

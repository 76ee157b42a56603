package obsprop.bench.peers;

import ai.djl.engine.Engine;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.index.NDIndex;
import ai.djl.ndarray.types.Shape;
import ai.djl.training.GradientCollector;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.List;
import obsprop.bench.ModelRunner;
import obsprop.kernel.AttentionSpec;
import obsprop.kernel.Kernels;
import obsprop.kernel.Segments;
import obsprop.model.Transformer;
import obsprop.propagation.Observable;
import obsprop.propagation.Propagator;
import obsprop.tensor.Tensor;

/** libtorch by DJL: the same arithmetic operation by operation, the gradient by its autograd. */
public final class LibTorchRunner implements ModelRunner {
    private final List<TorchBlock> blocks = new ArrayList<>();
    private NDManager manager;
    private NDArray embedded;
    private TorchBlock.Norm finalNorm;
    private NDArray direction;
    private NDArray residual;
    private NDArray gradient;
    private int tokens;

    @Override
    public String name() {
        return "libtorch";
    }

    @Override
    public void prepare(Transformer model, int threads, int[] prompt, Observable observable) {
        manager = Torch.open(threads);
        tokens = prompt.length;
        residual = manager.zeros(new Shape(1));
        gradient = manager.zeros(new Shape(1));
        finalNorm = TorchBlock.Norm.of(manager, model.finalNorm());
        for (var block : model.blocks()) {
            AttentionSpec spec = block.attention().spec();
            blocks.add(TorchBlock.of(manager, block, mask(spec, prompt.length)));
        }
        Kernels kernels = model.kernels();
        try (Arena arena = Arena.ofShared()) {
            Tensor x = kernels.allocate(arena, prompt.length, model.config().dModel());
            model.embedding().forward(kernels, prompt, new Segments(prompt.length), x);
            embedded = Torch.copy(manager, x);
            direction = Torch.copy(manager, new Propagator(model).unembed(List.of(observable), arena));
        }
    }

    @Override
    public int lastMlpTokens() {
        return tokens;
    }

    /** 0 where a key is permitted, minus infinity elsewhere: [T,T]. */
    private NDArray mask(AttentionSpec spec, int tokens) {
        float[] mask = new float[tokens * tokens];
        for (int t = 0; t < tokens; t++) {
            for (int j = 0; j < tokens; j++) {
                mask[t * tokens + j] = j <= t && j >= spec.firstKey(t) ? 0 : Float.NEGATIVE_INFINITY;
            }
        }
        return Torch.copy(manager, mask, new Shape(tokens, tokens));
    }

    @Override
    public void forward() {
        keepResidual(run(embedded.duplicate()));
    }

    private NDArray run(NDArray input) {
        NDArray x = input;
        for (TorchBlock block : blocks) {
            NDArray y = block.forward(x);
            if (x != input) {
                x.close();
            }
            x = y;
        }
        return x;
    }

    private void keepResidual(NDArray last) {
        residual.close();
        residual = last;
    }

    @Override
    public void forwardAndVjp() {
        NDArray x = embedded.duplicate();
        x.setRequiresGradient(true);
        try (GradientCollector collector = Engine.getEngine("PyTorch").newGradientCollector()) {
            NDArray last = run(x);
            try (NDArray row = last.get(new NDIndex("-1:"));
                    NDArray normed = finalNorm.forward(row);
                    NDArray products = normed.mul(direction);
                    NDArray value = products.sum()) {
                collector.backward(value);
            }
            keepResidual(last);
        }
        gradient.close();
        gradient = x.getGradient();
        x.close();
    }

    @Override
    public float[] residual() {
        return residual.toFloatArray();
    }

    @Override
    public float[] gradient() {
        return gradient.toFloatArray();
    }

    @Override
    public void close() {
        manager.close();
    }
}

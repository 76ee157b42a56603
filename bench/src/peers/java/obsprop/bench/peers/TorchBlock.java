package obsprop.bench.peers;

import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.Shape;
import ai.djl.nn.Activation;
import ai.djl.nn.core.Linear;
import java.util.List;
import obsprop.kernel.NormParameters;
import obsprop.model.layer.Attention;
import obsprop.model.layer.Block;
import obsprop.model.layer.Mlp;
import obsprop.model.layer.Norm.Normalise;

/**
 * A GPT-Neo block in libtorch's operations. Intermediate results are freed as soon as reference counting in Python would
 * free them; what autograd needs it keeps itself.
 */
final class TorchBlock {
    private final Norm attentionNorm;
    private final List<Map> queryKeyValue;
    private final Map output;
    private final Norm mlpNorm;
    private final Map up;
    private final Map down;
    private final NDArray mask;
    private final int heads;
    private final double scale;

    private TorchBlock(NDManager manager, Block block, Mlp.Plain mlp, NDArray mask) {
        Attention attention = block.attention();
        attentionNorm = Norm.of(manager, block.attentionInput());
        queryKeyValue = attention.projection().parts().stream().map(part -> Map.of(manager, part)).toList();
        output = Map.of(manager, attention.output());
        mlpNorm = Norm.of(manager, block.mlpInput());
        up = Map.of(manager, mlp.up());
        down = Map.of(manager, mlp.down());
        this.mask = mask;
        heads = attention.nHeads();
        scale = attention.spec().scale();
    }

    /** @throws IllegalArgumentException for other families than GPT-Neo */
    static TorchBlock of(NDManager manager, Block block, NDArray mask) {
        boolean plain = block.hasMiddle() && block.attentionOutput().isIdentity() && block.attention().rotary().isEmpty()
                && block.attention().projection().parts().size() == 3;
        if (plain && block.mlp() instanceof Mlp.Plain mlp && mlp.f() == obsprop.kernel.Activation.GELU_TANH) {
            return new TorchBlock(manager, block, mlp, mask);
        }
        throw new IllegalArgumentException("the libtorch peer knows blocks of GPT-Neo only");
    }

    /** {@code x W^T + b}. */
    record Map(NDArray weight, NDArray bias) {
        static Map of(NDManager manager, obsprop.model.layer.Linear linear) {
            return new Map(Torch.copy(manager, linear.weight()), linear.bias().map(b -> Torch.copy(manager, b)).orElse(null));
        }

        NDArray forward(NDArray x) {
            return Linear.linear(x, weight, bias).singletonOrThrow();
        }
    }

    record Norm(NDArray gain, NDArray bias, float epsilon) {
        static Norm of(NDManager manager, obsprop.model.layer.Norm norm) {
            NormParameters p = ((Normalise) norm).parameters();
            return new Norm(Torch.copy(manager, p.gain()), Torch.copy(manager, p.bias().orElseThrow()), (float) p.epsilon());
        }

        NDArray forward(NDArray x) {
            Shape last = new Shape(x.getShape().get(1));
            return ai.djl.nn.norm.LayerNorm.layerNorm(x, last, gain, bias, epsilon).singletonOrThrow();
        }
    }

    /** x [T,d], which stays; the result is the caller's. */
    NDArray forward(NDArray x) {
        NDArray middle;
        try (NDArray normed = attentionNorm.forward(x); NDArray written = attention(normed)) {
            middle = x.add(written);
        }
        try (middle; NDArray normed = mlpNorm.forward(middle); NDArray written = mlp(normed)) {
            return middle.add(written);
        }
    }

    private NDArray attention(NDArray normed) {
        long tokens = normed.getShape().get(0);
        long width = queryKeyValue.getFirst().weight.getShape().get(0);
        NDArray pattern;
        try (NDArray q = head(queryKeyValue.get(0).forward(normed), 1, 0, 2);
                NDArray kTransposed = head(queryKeyValue.get(1).forward(normed), 1, 2, 0);
                NDArray products = q.matMul(kTransposed);
                NDArray scaled = scale == 1 ? products.add(mask) : products.mul(scale).addi(mask)) {
            pattern = scaled.softmax(-1);
        }
        try (pattern;
                NDArray v = head(queryKeyValue.get(2).forward(normed), 1, 0, 2);
                NDArray mixed = pattern.matMul(v);
                NDArray turned = mixed.transpose(1, 0, 2);
                NDArray rows = turned.reshape(tokens, width)) {
            return output.forward(rows);
        }
    }

    /** The heads of rows [T, H D], which are freed, with the axes T, H, D in another order. */
    private NDArray head(NDArray rows, int... axes) {
        try (rows; NDArray split = rows.reshape(rows.getShape().get(0), heads, -1)) {
            return split.transpose(axes);
        }
    }

    private NDArray mlp(NDArray normed) {
        try (NDArray pre = up.forward(normed); NDArray hidden = gelu(pre)) {
            return down.forward(hidden);
        }
    }

    /** {@code x sigmoid(2 sqrt(2/pi) (x + 0.044715 x^3))}, which is the tanh form with fewer passes over memory. */
    private static NDArray gelu(NDArray x) {
        double two = 2 * Math.sqrt(2 / Math.PI);
        NDArray gate;
        try (NDArray factor = x.square().muli(0.044715 * two).addi(two); NDArray argument = factor.mul(x)) {
            gate = Activation.sigmoid(argument);
        }
        try (gate) {
            return x.mul(gate);
        }
    }
}

package obsprop.model.layer;

import obsprop.kernel.Kernels;
import obsprop.kernel.Segments;
import obsprop.kernel.Write;
import obsprop.tensor.Tensor;

/**
 * Attention and MLP side by side on the same input (GPT-J, GPT-NeoX, Phi), so that attention cannot feed the MLP of its
 * own layer: {@code y = x + attention(attentionInput(x)) + mlp(mlpInput(x))}. Where a family has one norm for both, the
 * two are the same object.
 */
public record ParallelBlock(int layer, Attention attention, Mlp mlp, Norm attentionInput, Norm mlpInput)
        implements Block {

    @Override
    public Norm attentionOutput() {
        return Norm.IDENTITY;
    }

    @Override
    public Norm mlpOutput() {
        return Norm.IDENTITY;
    }

    @Override
    public boolean hasMiddle() {
        return false;
    }

    @Override
    public void forward(Kernels kernels, Tensor x, Segments segments, State state, Scratch scratch, Tensor y) {
        Tensor normed = scratch.normed();
        kernels.copy(x, y);
        attentionInput.forward(kernels, x, normed, state.stats().attentionInput());
        attention.forward(kernels, normed, segments, state.attention(), y, Write.ACCUMULATE);
        mlpInput.forward(kernels, x, normed, state.stats().mlpInput());
        mlp.forward(kernels, normed, state.mlp(), y, Write.ACCUMULATE);
    }

    @Override
    public void forwardToMiddle(Kernels kernels, Tensor x, Segments segments, State state, Scratch scratch) {
        throw new UnsupportedOperationException("block " + layer + " has no middle");
    }

    @Override
    public void forwardFromMiddle(Kernels kernels, State state, Scratch scratch, Tensor y) {
        throw new UnsupportedOperationException("block " + layer + " has no middle");
    }

    /** There is no middle: nothing happens, and {@link #vjpToInput} transposes both sublayers. */
    @Override
    public void vjpToMiddle(Kernels kernels, VjpPass pass, Tensor x, Tensor d) {}

    /** Transposes {@code y = x + attention(attentionInput(x)) + mlp(mlpInput(x))}. */
    @Override
    public void vjpToInput(Kernels kernels, VjpPass pass, Tensor x, Tensor d) {
        State state = pass.state();
        Cotangents scratch = pass.scratch();
        Tensor dAttention = scratch.dNormed();
        Tensor dMlp = scratch.dOutput();
        attention.vjp(kernels, d, pass.segments(), state.attention(), scratch.attention(),
                pass.rules().attention(layer), pass.rules().norm(layer, NormSite.QUERY_KEY), dAttention);
        mlp.vjp(kernels, d, state.mlp(), scratch.mlp(), dMlp, Write.OVERWRITE);
        attentionInput.vjp(kernels, dAttention, x, state.stats().attentionInput(),
                pass.rules().norm(layer, NormSite.ATTENTION_INPUT), d, Write.ACCUMULATE);
        mlpInput.vjp(kernels, dMlp, x, state.stats().mlpInput(),
                pass.rules().norm(layer, NormSite.MLP_INPUT), d, Write.ACCUMULATE);
    }
}

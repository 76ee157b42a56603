package obsprop.model.layer;

import obsprop.kernel.Kernels;
import obsprop.kernel.Segments;
import obsprop.kernel.Write;
import obsprop.tensor.Tensor;

/**
 * The original post-norm block (OPT-350m): the stream itself is normalised, so that no component writes to it directly.
 *
 * <pre>
 * middle = attentionNorm(x + attention(x))
 * y      = mlpNorm(middle + mlp(middle))
 * </pre>
 */
public record StreamNormBlock(int layer, Attention attention, Mlp mlp, Norm attentionNorm, Norm mlpNorm)
        implements Block {

    @Override
    public Norm attentionInput() {
        return Norm.IDENTITY;
    }

    @Override
    public Norm attentionOutput() {
        return Norm.IDENTITY;
    }

    @Override
    public Norm mlpInput() {
        return Norm.IDENTITY;
    }

    @Override
    public Norm mlpOutput() {
        return Norm.IDENTITY;
    }

    @Override
    public boolean keepsSums() {
        return true;
    }

    @Override
    public void forward(Kernels kernels, Tensor x, Segments segments, State state, Scratch scratch, Tensor y) {
        forwardToMiddle(kernels, x, segments, state, scratch);
        forwardFromMiddle(kernels, state, scratch, y);
    }

    @Override
    public void forwardToMiddle(Kernels kernels, Tensor x, Segments segments, State state, Scratch scratch) {
        kernels.copy(x, state.attentionSum());
        attention.forward(kernels, x, segments, state.attention(), state.attentionSum(), Write.ACCUMULATE);
        attentionNorm.forward(kernels, state.attentionSum(), state.middle(), state.stats().attentionInput());
    }

    @Override
    public void forwardFromMiddle(Kernels kernels, State state, Scratch scratch, Tensor y) {
        kernels.copy(state.middle(), state.mlpSum());
        mlp.forward(kernels, state.middle(), state.mlp(), state.mlpSum(), Write.ACCUMULATE);
        mlpNorm.forward(kernels, state.mlpSum(), y, state.stats().mlpInput());
    }

    /** Transposes {@code y = mlpNorm(middle + mlp(middle))}. */
    @Override
    public void vjpToMiddle(Kernels kernels, VjpPass pass, Tensor x, Tensor d) {
        State state = pass.state();
        Tensor dSum = pass.scratch().dNormed();
        mlpNorm.vjp(kernels, d, state.mlpSum(), state.stats().mlpInput(),
                pass.rules().norm(layer, NormSite.MLP_INPUT), dSum, Write.OVERWRITE);
        kernels.copy(dSum, d);
        mlp.vjp(kernels, dSum, state.mlp(), pass.scratch().mlp(), d, Write.ACCUMULATE);
    }

    /** Transposes {@code middle = attentionNorm(x + attention(x))}. */
    @Override
    public void vjpToInput(Kernels kernels, VjpPass pass, Tensor x, Tensor d) {
        State state = pass.state();
        Tensor dSum = pass.scratch().dNormed();
        Tensor dInput = pass.scratch().dOutput();
        attentionNorm.vjp(kernels, d, state.attentionSum(), state.stats().attentionInput(),
                pass.rules().norm(layer, NormSite.ATTENTION_INPUT), dSum, Write.OVERWRITE);
        attention.vjp(kernels, dSum, pass.segments(), state.attention(), pass.scratch().attention(),
                pass.rules().attention(layer), pass.rules().norm(layer, NormSite.QUERY_KEY), dInput);
        kernels.copy(dSum, d);
        kernels.addScaled(1, dInput, d);
    }
}

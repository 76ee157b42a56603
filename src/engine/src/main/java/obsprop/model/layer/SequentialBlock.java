package obsprop.model.layer;

import obsprop.kernel.Kernels;
import obsprop.kernel.Segments;
import obsprop.kernel.Write;
import obsprop.tensor.Tensor;

/**
 * Attention, then MLP, each between optional norms:
 *
 * <pre>
 * middle = x + attentionOutput(attention(attentionInput(x)))
 * y      = middle + mlpOutput(mlp(mlpInput(middle)))
 * </pre>
 */
public record SequentialBlock(
        int layer,
        Attention attention,
        Mlp mlp,
        Norm attentionInput,
        Norm attentionOutput,
        Norm mlpInput,
        Norm mlpOutput)
        implements Block {

    @Override
    public void forward(Kernels kernels, Tensor x, Segments segments, State state, Scratch scratch, Tensor y) {
        forwardToMiddle(kernels, x, segments, state, scratch);
        forwardFromMiddle(kernels, state, scratch, y);
    }

    @Override
    public void forwardToMiddle(Kernels kernels, Tensor x, Segments segments, State state, Scratch scratch) {
        Tensor normed = scratch.normed();
        Stats stats = state.stats();
        attentionInput.forward(kernels, x, normed, stats.attentionInput());
        if (attentionOutput.isIdentity()) {
            kernels.copy(x, state.middle());
            attention.forward(kernels, normed, segments, state.attention(), state.middle(), Write.ACCUMULATE);
        } else {
            attention.forward(kernels, normed, segments, state.attention(), state.attentionSum(), Write.OVERWRITE);
            attentionOutput.forward(kernels, state.attentionSum(), state.middle(), stats.attentionOutput());
            kernels.addScaled(1, x, state.middle());
        }
    }

    @Override
    public void forwardFromMiddle(Kernels kernels, State state, Scratch scratch, Tensor y) {
        Tensor normed = scratch.normed();
        Stats stats = state.stats();
        mlpInput.forward(kernels, state.middle(), normed, stats.mlpInput());
        if (mlpOutput.isIdentity()) {
            kernels.copy(state.middle(), y);
            mlp.forward(kernels, normed, state.mlp(), y, Write.ACCUMULATE);
        } else {
            mlp.forward(kernels, normed, state.mlp(), state.mlpSum(), Write.OVERWRITE);
            mlpOutput.forward(kernels, state.mlpSum(), y, stats.mlpOutput());
            kernels.addScaled(1, state.middle(), y);
        }
    }

    /** Transposes {@code y = middle + mlpOutput(mlp(mlpInput(middle)))}. */
    @Override
    public void vjpToMiddle(Kernels kernels, VjpPass pass, Tensor x, Tensor d) {
        State state = pass.state();
        Cotangents scratch = pass.scratch();
        Tensor dOutput = through(kernels, mlpOutput, state.mlpSum(), state.stats().mlpOutput(), pass, d,
                NormSite.MLP_OUTPUT);
        mlp.vjp(kernels, dOutput, state.mlp(), scratch.mlp(), scratch.dNormed(), Write.OVERWRITE);
        mlpInput.vjp(kernels, scratch.dNormed(), state.middle(), state.stats().mlpInput(),
                pass.rules().norm(layer, NormSite.MLP_INPUT), d, Write.ACCUMULATE);
    }

    /** Transposes {@code middle = x + attentionOutput(attention(attentionInput(x)))}. */
    @Override
    public void vjpToInput(Kernels kernels, VjpPass pass, Tensor x, Tensor d) {
        State state = pass.state();
        Cotangents scratch = pass.scratch();
        Tensor dOutput = through(kernels, attentionOutput, state.attentionSum(), state.stats().attentionOutput(), pass,
                d, NormSite.ATTENTION_OUTPUT);
        attention.vjp(kernels, dOutput, pass.segments(), state.attention(), scratch.attention(),
                pass.rules().attention(layer), pass.rules().norm(layer, NormSite.QUERY_KEY), scratch.dNormed());
        attentionInput.vjp(kernels, scratch.dNormed(), x, state.stats().attentionInput(),
                pass.rules().norm(layer, NormSite.ATTENTION_INPUT), d, Write.ACCUMULATE);
    }

    /** The cotangent of a sublayer's output before its output norm: d itself where there is none. */
    private Tensor through(
            Kernels kernels, Norm norm, Tensor sum, Tensor stats, VjpPass pass, Tensor d, NormSite site) {
        if (norm.isIdentity()) {
            return d;
        }
        Tensor dOutput = pass.scratch().dOutput();
        norm.vjp(kernels, d, sum, stats, pass.rules().norm(layer, site), dOutput, Write.OVERWRITE);
        return dOutput;
    }
}

package obsprop.propagation;

import obsprop.model.ActivationCache;
import obsprop.model.Point;
import obsprop.model.Transformer;
import obsprop.tensor.Tensor;

/**
 * One prompt of a forward pass.
 *
 * @param prompt which of the batch's prompts
 */
public record PromptRun(ActivationCache cache, int prompt) {
    public PromptRun {
        if (prompt < 0 || prompt >= cache.segments().count()) {
            throw new IllegalArgumentException(
                    "there is no prompt " + prompt + ": the pass has " + cache.segments().count());
        }
    }

    public Transformer model() {
        return cache.model();
    }

    /** Number of tokens. */
    public int length() {
        return cache.segments().length(prompt);
    }

    /** The row of the batch that holds token {@code position}, from 0. */
    public int row(int position) {
        return cache.segments().start(prompt) + position;
    }

    /** One row [1,d] of the residual stream, a view. */
    public Tensor residual(int layer, Point point, int position) {
        return cache.residual(layer, point).slice(0, row(position), row(position) + 1);
    }

    /** Where the component of a step reads the stream of this prompt: [1,d], a view. */
    public Tensor input(Step step) {
        Site site = step.reads(model());
        return residual(site.layer(), site.point(), site.position());
    }

    /** The residual stream at a site, [d], on the host. */
    public double[] activation(Site site) {
        Site resolved = site.resolve(model(), length());
        return HostRows.read(model().kernels(), residual(resolved.layer(), resolved.point(), resolved.position()));
    }

    /** What all heads of a layer write before the norm on their sum, [1,d]; only where there is such a norm. */
    public Tensor attentionSum(int layer, int position) {
        return cache.state(layer).attentionSum().slice(0, row(position), row(position) + 1);
    }
}

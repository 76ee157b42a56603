package obsprop.analysis.runs;

import java.lang.foreign.Arena;
import obsprop.model.ActivationCache;
import obsprop.model.Keep;
import obsprop.model.Point;
import obsprop.model.Transformer;
import obsprop.tensor.Tensor;

/**
 * One prompt of a full forward pass.
 *
 * @param cache a pass through all layers that kept at least the residual streams
 * @param prompt which of the prompts of its batch
 */
public record CachedRun(ActivationCache cache, int prompt) implements Run {
    public CachedRun {
        if (cache.keep() == Keep.LAST || cache.stopLayer() < cache.model().config().nLayers()) {
            throw new IllegalArgumentException("attribution and patching need a forward pass through all "
                    + cache.model().config().nLayers() + " layers that keeps their residual streams; this one kept "
                    + cache.keep() + " and stopped at layer " + cache.stopLayer());
        }
        if (prompt < 0 || prompt >= cache.segments().count()) {
            throw new IllegalArgumentException(
                    "prompt " + prompt + " of a batch of " + cache.segments().count() + " does not exist");
        }
    }

    @Override
    public Transformer model() {
        return cache.model();
    }

    @Override
    public int length() {
        return cache.segments().length(prompt);
    }

    @Override
    public Tensor residual(int layer, Point point) {
        return own(cache.residual(layer, point));
    }

    @Override
    public Heads heads(int layer) {
        return Heads.of(cache.state(layer).attention(), cache.segments(), prompt);
    }

    /** Where a norm follows attention: its input [T,d] at a layer. */
    public Tensor attentionSum(int layer) {
        return own(cache.state(layer).attentionSum());
    }

    /** The pattern [H,T,T] of a layer. */
    public Tensor pattern(int layer, Arena to) {
        return cache.pattern(layer, prompt, to);
    }

    /** The row of the batch that holds a position of this prompt. */
    public int row(int position) {
        return cache.segments().start(prompt) + position;
    }

    /**
     * A position from 0 for one that may count from the end.
     *
     * @throws IllegalArgumentException if the prompt has no such position
     */
    public int position(int position) {
        return position(position, length());
    }

    /** The same in a prompt of {@code length} tokens. */
    public static int position(int position, int length) {
        int t = position < 0 ? position + length : position;
        if (t < 0 || t >= length) {
            throw new IllegalArgumentException("position " + position + " is outside the prompt: it has " + length
                    + " tokens, 0.." + (length - 1) + " or -" + length + "..-1");
        }
        return t;
    }

    private Tensor own(Tensor rows) {
        return rows.slice(0, row(0), row(0) + length());
    }
}

package obsprop.propagation;

import java.lang.foreign.Arena;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.List;
import obsprop.kernel.Kernels;
import obsprop.kernel.NormRule;
import obsprop.kernel.Segments;
import obsprop.kernel.Write;
import obsprop.model.ActivationCache;
import obsprop.model.Backward;
import obsprop.model.Batch;
import obsprop.model.Injection;
import obsprop.model.Point;
import obsprop.model.Transformer;
import obsprop.model.layer.NormSite;
import obsprop.model.layer.Rules;
import obsprop.tensor.Tensor;

/**
 * One observable's value and gradient for prompt after prompt of one length, for programs that answer while somebody
 * waits: everything is allocated when it is made, a call allocates nothing, and a device replays what it did before. Not safe for concurrent use: one for each
 * thread; they share the model.
 */
public final class PreparedGradient implements AutoCloseable {
    private final Transformer model;
    private final Kernels kernels;
    private final Arena arena = Arena.ofShared();
    private final Deque<Runnable> owned = new ArrayDeque<>();
    private final ObservableRows rows;
    private final Batch batch;
    private final ActivationCache cache;
    private final Kernels.Replay sweep;
    private final NormRule finalRule;
    private final Tensor last;
    private final Tensor normed;
    private final Tensor stats;
    private final Tensor dNormed;
    private final Tensor dLast;
    private final Tensor[] gradients;

    /** @param promptLength number of tokens of every prompt; the observable is read at the last one */
    public PreparedGradient(Transformer model, Observable observable, int promptLength, Rules rules) {
        this.model = model;
        kernels = model.kernels();
        int layers = model.config().nLayers();
        int d = model.config().dModel();
        finalRule = rules.norm(layers, NormSite.FINAL);
        batch = new Batch(new int[promptLength], new Segments(promptLength));
        gradients = new Tensor[layers + 1];
        owned.push(arena::close);
        try {
            rows = new ObservableRows(model, observable, arena);
            cache = model.allocateToRead(batch.segments(), promptLength - 1);
            owned.push(cache::close);
            Backward backward = new Backward(cache, 1);
            owned.push(backward::close);
            last = cache.residual(layers).slice(0, promptLength - 1, promptLength);
            normed = kernels.allocate(arena, 1, d);
            stats = kernels.allocate(arena, 1, 2);
            dNormed = kernels.allocate(arena, 1, d);
            dLast = kernels.allocate(arena, 1, d);
            for (int l = 0; l <= layers; l++) {
                gradients[l] = kernels.allocate(arena, promptLength, d);
            }
            var injection = new Injection(0, layers, Point.INPUT, promptLength - 1, dLast);
            sweep = backward.prepare(1, List.of(injection), rules, 0).replay(this::keep);
            owned.push(sweep::close);
        } catch (RuntimeException | Error e) {
            close();
            throw e;
        }
    }

    /**
     * Runs one prompt forward and its observable back.
     *
     * @param tokenIds as many as were promised
     * @return the observable's value at the last token
     * @throws IllegalArgumentException if there are more or fewer tokens, or one is not in the vocabulary
     */
    public double run(int[] tokenIds) {
        if (tokenIds.length != batch.rows()) {
            throw new IllegalArgumentException(
                    tokenIds.length + " tokens, but this was prepared for prompts of " + batch.rows());
        }
        System.arraycopy(tokenIds, 0, batch.tokenIds(), 0, tokenIds.length);
        model.forward(batch, cache);
        model.finalNorm().forward(kernels, last, normed, stats);
        double value = rows.value(normed);
        rows.vjp(dNormed);
        model.finalNorm().vjp(kernels, dNormed, last, stats, finalRule, dLast, Write.OVERWRITE);
        sweep.run();
        return value;
    }

    private void keep(int layer, Point point, int first, Tensor d) {
        if (point == Point.INPUT) {
            kernels.copy(d, gradients[layer]);
        }
    }

    /**
     * The gradient [T,d] of the last run's observable with respect to the residual stream entering block {@code layer},
     * or leaving the last one; valid until the next run.
     */
    public Tensor gradient(int layer) {
        return gradients[layer];
    }

    /** The activations of the last run; see {@link Transformer#allocateToRead} for what it leaves out. */
    public ActivationCache activations() {
        return cache;
    }

    @Override
    public void close() {
        while (!owned.isEmpty()) {
            owned.pop().run();
        }
    }
}

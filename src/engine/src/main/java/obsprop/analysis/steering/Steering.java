package obsprop.analysis.steering;

import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import obsprop.analysis.scores.ScoredVector;
import obsprop.kernel.Kernels;
import obsprop.kernel.Segments;
import obsprop.model.ActivationCache;
import obsprop.model.Batch;
import obsprop.model.Keep;
import obsprop.model.Transformer;
import obsprop.propagation.Observable;
import obsprop.propagation.Propagator;
import obsprop.propagation.Rerun;
import obsprop.tensor.Tensor;

/**
 * One prompt, steered along a vector as often as one likes: the clean pass runs once, an edit reruns only the layers above
 * its site. Not safe for concurrent use.
 */
public final class Steering implements AutoCloseable {
    private final Kernels kernels;
    private final Propagator propagator;
    private final Arena arena = Arena.ofShared();
    private final ActivationCache clean;
    private final Rerun rerun;
    private final ScoredVector vector;
    private final Tensor direction;
    private final double[] y;
    private final Distribution before;

    /**
     * Runs the prompt.
     *
     * @param vector where and along what edits are made
     * @throws IllegalArgumentException if the vector does not fit the model, or is zero
     */
    public Steering(Transformer model, int[] prompt, ScoredVector vector) {
        vector.requireWithin(model);
        if (Arrays.stream(vector.vector()).allMatch(v -> v == 0)) {
            throw new IllegalArgumentException("vector \"" + vector.name() + "\" is zero: nothing can be steered along it");
        }
        kernels = model.kernels();
        propagator = new Propagator(model);
        this.vector = vector;
        y = vector.vector();
        clean = model.forward(Batch.of(prompt), Keep.RESIDUALS, model.config().nLayers());
        try {
            direction = placed(y);
            before = distribution(clean.residual(model.config().nLayers()));
            rerun = new Rerun(model, new Segments(prompt.length));
        } catch (RuntimeException | Error e) {
            arena.close();
            clean.close();
            throw e;
        }
    }

    private Tensor placed(double[] values) {
        Tensor host = Tensor.allocate(arena, kernels.activationType(), 1, values.length);
        for (int i = 0; i < values.length; i++) {
            host.set(values[i], 0, i);
        }
        Tensor placed = kernels.allocate(arena, 1, values.length);
        kernels.copy(host, placed);
        return placed;
    }

    /** Of the next token after the prompt, from the final residual stream [N,d]. */
    private Distribution distribution(Tensor residual) {
        int last = residual.size(0) - 1;
        return Distribution.of(propagator.logits(residual.slice(0, last, last + 1)).toDoubles());
    }

    /** {@code y . x} of every token at the vector's site, unedited. */
    public double[] scores() {
        try (Arena temporary = Arena.ofShared()) {
            Tensor x = propagator.toHost(clean.residual(vector.layer(), vector.point()), temporary);
            double[] scores = new double[x.size(0)];
            for (int row = 0; row < scores.length; row++) {
                for (int i = 0; i < y.length; i++) {
                    scores[row] += y[i] * x.get(row, i);
                }
            }
            return scores;
        }
    }

    /** The next token's distribution without an edit. */
    public Distribution before() {
        return before;
    }

    /**
     * What an edit did to the next token's distribution.
     *
     * @param divergence {@code KL(clean || steered)} in nats
     */
    public record Outcome(Distribution before, Distribution after, double divergence) {
        /** The observable without the edit. */
        public double before(Observable n) {
            return before.value(n);
        }

        /** The observable with the edit. */
        public double after(Observable n) {
            return after.value(n);
        }
    }

    /**
     * Edits the residual stream at the vector's site and reruns the layers above it.
     *
     * @param positions of the tokens to edit, from 0
     * @throws IllegalArgumentException if the prompt has no such token
     */
    public Outcome steer(Edit edit, List<Integer> positions) {
        return steer(positions.stream().distinct().collect(Collectors.toMap(p -> p, p -> edit)));
    }

    /**
     * The same with an edit of its own for each token.
     *
     * @param edits by position, from 0
     */
    public Outcome steer(Map<Integer, Edit> edits) {
        double[] scores = scores();
        for (int position : edits.keySet()) {
            if (position < 0 || position >= scores.length) {
                throw new IllegalArgumentException(
                        "there is no token at position " + position + " in a prompt of " + scores.length);
            }
        }
        double square = Arrays.stream(y).map(v -> v * v).sum();
        Tensor steered = rerun.run(clean, vector.layer(), vector.point(), x -> edits.forEach((position, edit) -> {
            double factor = (edit.newScore(scores[position], square) - scores[position]) / square;
            kernels.addScaled(factor, direction, x.slice(0, position, position + 1));
        }));
        Distribution after = distribution(steered);
        return new Outcome(before, after, before.divergenceTo(after));
    }

    @Override
    public void close() {
        rerun.close();
        clean.close();
        arena.close();
    }
}

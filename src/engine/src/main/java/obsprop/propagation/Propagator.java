package obsprop.propagation;

import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import obsprop.kernel.Kernels;
import obsprop.kernel.NormRule;
import obsprop.model.ActivationCache;
import obsprop.model.Backward;
import obsprop.model.Injection;
import obsprop.model.Point;
import obsprop.model.Transformer;
import obsprop.model.layer.NormSite;
import obsprop.model.layer.Rules;
import obsprop.tensor.Tensor;

/** Pulls observables back: through the unembedding, the final norm, and the whole model. */
public final class Propagator {
    private final Transformer model;
    private final Kernels kernels;

    public Propagator(Transformer model) {
        this.model = model;
        this.kernels = model.kernels();
    }

    /** An observable read at one row of a batch: the scalar {@code n . logits[row]}. */
    public record Target(Observable observable, int row) {}

    /** {@code y = W_U^T n} for each observable, [K,d], living as long as {@code to}. A soft cap does not enter. */
    public Tensor unembed(List<Observable> observables, Arena to) {
        Tensor y = kernels.allocate(to, observables.size(), model.config().dModel());
        for (int i = 0; i < observables.size(); i++) {
            Observable n = observables.get(i);
            n.requireWithin(model.config().dVocab());
            model.unembedding().vjp(kernels, n.ids(), n.weights(), y.slice(0, i, i + 1));
        }
        return y;
    }

    /**
     * The gradient of one target with respect to the normed final residual stream, [1,d]: {@code W_U^T n}, with the
     * factor {@code 1 - (logit/cap)^2} on each token's weight under a final soft cap.
     *
     * @param x [1,d], the final residual stream
     * @param y [1,d], overwritten
     */
    public void unembedAt(Tensor x, Observable n, Tensor y) {
        try (Arena arena = Arena.ofShared()) {
            var rows = new ObservableRows(model, n, arena);
            Tensor normed = kernels.allocate(arena, 1, model.config().dModel());
            model.finalNorm().forward(kernels, x, normed, kernels.allocate(arena, 1, 2));
            rows.value(normed);
            rows.vjp(y);
        }
    }

    /** Logits [N,V] in host memory of final residual rows x [N,d], which stay as they are. */
    public Tensor logits(Tensor x) {
        try (Arena arena = Arena.ofShared()) {
            Tensor copy = kernels.allocate(arena, x.size(0), x.size(1));
            kernels.copy(x, copy);
            Tensor logits = kernels.allocate(arena, x.size(0), model.config().dVocab());
            model.unembed(copy, logits);
            return toHost(logits, Arena.ofAuto());
        }
    }

    /** A copy in host memory, of the activation type. */
    public Tensor toHost(Tensor x, Arena to) {
        Tensor host = Tensor.allocate(to, x.dtype(), x.shape());
        kernels.copy(x, host);
        return host;
    }

    /**
     * The gradient of each target with respect to the residual stream at every site down to the input of block
     * {@code lowest}; see {@link Backward.Listener} for what the listener gets. Cotangent k belongs to target k.
     */
    public void sweep(ActivationCache cache, List<Target> targets, Rules rules, int lowest, Backward.Listener listener) {
        int last = model.config().nLayers();
        Tensor residual = cache.residual(last);
        try (Arena arena = Arena.ofShared();
                Backward backward = new Backward(cache, atOnce(cache.segments().rows(), targets.size()))) {
            Tensor dx = atFinalResidual(residual, targets, rules.norm(last, NormSite.FINAL), arena);
            List<Injection> injections = new ArrayList<>();
            for (int k = 0; k < targets.size(); k++) {
                injections.add(new Injection(k, last, Point.INPUT, targets.get(k).row(), dx.slice(0, k, k + 1)));
            }
            backward.sweep(targets.size(), injections, rules, lowest, listener);
        }
    }

    /** The gradient [K,d] of each target with respect to the row of the final residual stream at which it is read. */
    private Tensor atFinalResidual(Tensor residual, List<Target> targets, NormRule rule, Arena arena) {
        int d = model.config().dModel();
        Tensor y = kernels.allocate(arena, targets.size(), d);
        Tensor dx = kernels.allocate(arena, targets.size(), d);
        targets.forEach(t -> t.observable().requireWithin(model.config().dVocab()));
        unembed(residual, targets, y);
        for (int first = 0; first < targets.size(); ) {
            int row = targets.get(first).row();
            int end = first + 1;
            while (end < targets.size() && targets.get(end).row() == row) {
                end++;
            }
            model.finalNormVjp(residual.slice(0, row, row + 1), y.slice(0, first, end), rule, dx.slice(0, first, end));
            first = end;
        }
        return dx;
    }

    /** The gradient y [K,d] of each target with respect to the normed final residual stream. */
    private void unembed(Tensor residual, List<Target> targets, Tensor y) {
        double[] weights = targets.getFirst().observable().weights();
        boolean alike = targets.stream().allMatch(t -> Arrays.equals(t.observable().weights(), weights));
        if (alike && !model.unembedding().capped()) {
            int[][] ids = new int[weights.length][];
            Arrays.setAll(ids, i -> targets.stream().mapToInt(t -> t.observable().ids()[i]).toArray());
            model.unembedding().vjp(kernels, ids, weights, y);
            return;
        }
        for (int k = 0; k < targets.size(); k++) {
            Target target = targets.get(k);
            Tensor x = residual.slice(0, target.row(), target.row() + 1);
            unembedAt(x, target.observable(), y.slice(0, k, k + 1));
        }
    }

    /** How many of {@code targets} cotangents go back at once over {@code rows} rows, so that memory stays bounded. */
    public int atOnce(int rows, int targets) {
        long widest = Math.max(model.config().dMlp(), 3L * model.config().dModel());
        return Math.clamp(kernels.sweepElements() / (widest * rows), 1, Math.max(1, targets));
    }

    /**
     * The gradient of each target at the input of every block and at the final residual stream, in host memory:
     * [K,L+1,N,d], living as long as {@code to}.
     */
    public Tensor gradients(ActivationCache cache, List<Target> targets, Rules rules, Arena to) {
        int n = cache.segments().rows();
        int d = model.config().dModel();
        int sites = model.config().nLayers() + 1;
        Tensor out = Tensor.allocate(to, kernels.activationType(), targets.size(), sites, n, d);
        sweep(cache, targets, rules, 0, (layer, point, first, rows) -> {
            if (point == Point.INPUT) {
                int k = rows.size(0) / n;
                kernels.copy(rows.unflatten(0, k, n), out.slice(0, first, first + k).select(1, layer));
            }
        });
        return out;
    }
}

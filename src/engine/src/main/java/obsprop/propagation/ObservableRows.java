package obsprop.propagation;

import java.lang.foreign.Arena;
import java.util.Optional;
import obsprop.kernel.Kernels;
import obsprop.kernel.Transpose;
import obsprop.kernel.Write;
import obsprop.model.Transformer;
import obsprop.tensor.Tensor;

/**
 * The m rows of the unembedding that an observable names, gathered once: its value and its gradient at a point without
 * the other logits. Reusable without allocating; not safe for concurrent use.
 */
final class ObservableRows {
    private final Transformer model;
    private final Kernels kernels;
    private final Observable observable;
    private final double[] bias;
    private final Tensor rows;
    private final Tensor onDevice;
    private final Tensor onHost;
    /** {@code W_U^T n}, where no soft cap makes it depend on the point. */
    private final Optional<Tensor> direction;

    /** Gathers the rows, living as long as {@code arena}. */
    ObservableRows(Transformer model, Observable observable, Arena arena) {
        observable.requireWithin(model.config().dVocab());
        this.model = model;
        this.kernels = model.kernels();
        this.observable = observable;
        int m = observable.ids().length;
        rows = kernels.allocate(arena, m, model.config().dModel());
        for (int i = 0; i < m; i++) {
            model.unembedding().vjp(kernels, new int[] {observable.ids()[i]}, new double[] {1}, rows.slice(0, i, i + 1));
        }
        onDevice = kernels.allocate(arena, 1, m);
        onHost = Tensor.allocate(arena, kernels.activationType(), 1, m);
        bias = model.unembedding().biases(kernels, observable.ids());
        direction = model.unembedding().capped() ? Optional.empty() : Optional.of(kernels.allocate(arena, 1, model.config().dModel()));
        direction.ifPresent(y -> model.unembedding().vjp(kernels, observable.ids(), observable.weights(), y));
    }

    /**
     * {@code n . logits} at a normed row of the final residual stream.
     *
     * @param normed [1,d], where the kernels compute
     */
    double value(Tensor normed) {
        kernels.gemm(normed, Transpose.NO, rows, Transpose.YES, onDevice, Write.OVERWRITE);
        kernels.copy(onDevice, onHost);
        double sum = 0;
        for (int i = 0; i < bias.length; i++) {
            sum += observable.weight(i) * cap(onHost.get(0, i) + bias[i]);
        }
        return sum;
    }

    /**
     * The gradient with respect to the normed row at which {@link #value} was last asked: {@code W_U^T n}, with the
     * factor {@code 1 - (logit/cap)^2} on each token's weight under a final soft cap.
     *
     * @param dNormed [1,d], overwritten
     */
    void vjp(Tensor dNormed) {
        if (direction.isPresent()) {
            kernels.copy(direction.get(), dNormed);
            return;
        }
        for (int i = 0; i < bias.length; i++) {
            onHost.set(observable.weight(i) * slope(onHost.get(0, i) + bias[i]), 0, i);
        }
        kernels.copy(onHost, onDevice);
        kernels.gemm(onDevice, Transpose.NO, rows, Transpose.NO, dNormed, Write.OVERWRITE);
    }

    private double cap(double logit) {
        double cap = model.unembedding().softCap();
        return model.unembedding().capped() ? cap * Math.tanh(logit / cap) : logit;
    }

    private double slope(double logit) {
        double ratio = cap(logit) / model.unembedding().softCap();
        return 1 - ratio * ratio;
    }
}

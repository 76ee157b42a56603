package obsprop.analysis.runs;

import java.lang.foreign.Arena;
import obsprop.kernel.Kernels;
import obsprop.model.Transformer;
import obsprop.propagation.HostRows;
import obsprop.propagation.Observable;
import obsprop.tensor.Tensor;

/**
 * An observable's directions at the unembedding: {@code n . logits} of many rows without the other tokens' logits. One
 * direction {@code W_U^T n} where logits are linear, one a token under a final soft cap.
 */
public final class Unembedded {
    private final Transformer model;
    private final Kernels kernels;
    private final double[] weights;
    private final double[] biases;
    private final Tensor directions;
    private final RowBuffer room;

    public Unembedded(Transformer model, Observable n, Arena arena) {
        this.model = model;
        this.kernels = model.kernels();
        n.requireWithin(model.config().dVocab());
        double[] tokenBiases = model.unembedding().biases(kernels, n.ids());
        if (model.unembedding().capped()) {
            weights = n.weights();
            biases = tokenBiases;
            directions = kernels.allocate(arena, weights.length, model.config().dModel());
            for (int i = 0; i < weights.length; i++) {
                model.unembedding().vjp(
                        kernels, new int[] {n.ids()[i]}, new double[] {1}, directions.slice(0, i, i + 1));
            }
        } else {
            weights = new double[] {1};
            biases = new double[] {HostRows.dot(n.weights(), tokenBiases)};
            directions = kernels.allocate(arena, 1, model.config().dModel());
            model.unembedding().vjp(kernels, n.ids(), n.weights(), directions);
        }
        room = new RowBuffer(kernels, arena, weights.length);
    }

    /** {@code n . logits} of each normed final residual row of x [R,d]. */
    public double[] values(Tensor x) {
        double[][] logits = logits(x);
        double[] values = new double[logits.length];
        for (int r = 0; r < values.length; r++) {
            for (int i = 0; i < weights.length; i++) {
                values[r] += weights[i] * capped(logits[r][i]);
            }
        }
        return values;
    }

    private double[][] products(Tensor x) {
        int rows = x.size(0);
        return Rows.products(kernels, x, directions, room.rows(rows).reshape(directions.size(0), rows));
    }

    private double[][] logits(Tensor x) {
        double[][] logits = products(x);
        for (double[] row : logits) {
            for (int i = 0; i < row.length; i++) {
                row[i] += biases[i];
            }
        }
        return logits;
    }

    private double capped(double logit) {
        double cap = model.unembedding().softCap();
        return model.unembedding().capped() ? cap * Math.tanh(logit / cap) : logit;
    }

    /** {@code y . row} for each row, with {@code y = W_U^T n}: neither bias nor soft cap. */
    public double[] linear(Tensor rows) {
        double[][] products = products(rows);
        double[] values = new double[products.length];
        for (int r = 0; r < values.length; r++) {
            values[r] = HostRows.dot(weights, products[r]);
        }
        return values;
    }

    /**
     * The one direction and the constant that give the observable's value at x: each token's weight is multiplied by
     * {@code capped(logit) / logit}, the soft cap's factor held at its actual value like a norm's rstd.
     *
     * @param x [1,d], the normed final residual stream
     * @param y [1,d], overwritten
     * @return the constant: {@code y . x + constant} is the observable's value
     */
    public double linearise(Tensor x, Tensor y) {
        double[] logits = logits(x)[0];
        double constant = 0;
        kernels.zero(y);
        for (int i = 0; i < weights.length; i++) {
            double weight = logits[i] == 0 ? weights[i] : weights[i] * capped(logits[i]) / logits[i];
            kernels.addScaled(weight, directions.slice(0, i, i + 1), y);
            constant += weight * biases[i];
        }
        return constant;
    }
}

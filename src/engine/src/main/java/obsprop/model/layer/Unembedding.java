package obsprop.model.layer;

import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.Optional;
import obsprop.kernel.AttentionSpec;
import obsprop.kernel.Kernels;
import obsprop.kernel.Write;
import obsprop.tensor.Tensor;

/**
 * Residual stream (after the final norm) to logits: {@code logits = cap(head(project(x)))}.
 *
 * @param projection from d to e, where the head is narrower than the stream (OPT-350m)
 * @param head [V, e], rows of tokens, with a bias in some families
 * @param softCap the final soft cap, or {@link AttentionSpec#NO_CAP}
 */
public record Unembedding(Optional<Linear> projection, Linear head, double softCap) {
    public boolean capped() {
        return softCap != AttentionSpec.NO_CAP;
    }

    /** {@code logits = head(x)}: x [N,d], logits [N,V]. */
    public void forward(Kernels kernels, Tensor x, Tensor logits) {
        if (projection.isPresent()) {
            try (Arena arena = Arena.ofShared()) {
                Tensor narrow = kernels.allocate(arena, x.size(0), head.inputs());
                projection.get().forward(kernels, x, narrow, Write.OVERWRITE);
                head.forward(kernels, narrow, logits, Write.OVERWRITE);
            }
        } else {
            head.forward(kernels, x, logits, Write.OVERWRITE);
        }
        if (capped()) {
            kernels.softCap(softCap, logits);
        }
    }

    /** The biases of some tokens' logits, zeros where there are none. */
    public double[] biases(Kernels kernels, int[] ids) {
        double[] biases = new double[ids.length];
        if (head.bias().isPresent()) {
            Tensor all = head.bias().get();
            try (Arena arena = Arena.ofConfined()) {
                Tensor one = Tensor.allocate(arena, all.dtype(), 1);
                for (int i = 0; i < ids.length; i++) {
                    kernels.copy(all.slice(0, ids[i], ids[i] + 1), one);
                    biases[i] = one.get(0);
                }
            }
        }
        return biases;
    }

    /**
     * {@code y = W_U^T n} for a sparse n, by gathering the rows it names: the soft cap and the bias do not enter (the
     * caller puts the cap's factor into the weights).
     *
     * @param y [1,d], overwritten
     */
    public void vjp(Kernels kernels, int[] ids, double[] weights, Tensor y) {
        int[][] oneEach = new int[ids.length][];
        Arrays.setAll(oneEach, i -> new int[] {ids[i]});
        vjp(kernels, oneEach, weights, y);
    }

    /**
     * The same for K sparse vectors of the same weights: the k-th names the rows {@code ids[i][k]}.
     *
     * @param ids [m][K]
     * @param weights [m]
     * @param y [K,d], overwritten
     */
    public void vjp(Kernels kernels, int[][] ids, double[] weights, Tensor y) {
        if (projection.isPresent()) {
            try (Arena arena = Arena.ofShared()) {
                Tensor narrow = kernels.allocate(arena, y.size(0), head.inputs());
                gather(kernels, ids, weights, narrow);
                projection.get().vjp(kernels, narrow, y, Write.OVERWRITE);
            }
        } else {
            gather(kernels, ids, weights, y);
        }
    }

    private void gather(Kernels kernels, int[][] ids, double[] weights, Tensor y) {
        for (int i = 0; i < ids.length; i++) {
            kernels.gather(head.weight(), ids[i], weights[i], y, i == 0 ? Write.OVERWRITE : Write.ACCUMULATE);
        }
    }
}

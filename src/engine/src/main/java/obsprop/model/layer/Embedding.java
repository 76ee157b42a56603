package obsprop.model.layer;

import java.lang.foreign.Arena;
import java.util.Optional;
import obsprop.kernel.Kernels;
import obsprop.kernel.Segments;
import obsprop.kernel.Write;
import obsprop.tensor.Tensor;

/**
 * Tokens to the residual stream: {@code x = project(scale * E[token]) + P[position]}.
 *
 * @param tokens [V, e]
 * @param scale factor on the token embedding
 * @param projection from e to d, where the embedding is narrower than the stream (OPT-350m)
 * @param positions learned positions [P, d], row p for position p, where the family has them
 */
public record Embedding(Tensor tokens, double scale, Optional<Linear> projection, Optional<Tensor> positions) {
    /** Writes x [N,d] for the tokens of a batch. */
    public void forward(Kernels kernels, int[] tokenIds, Segments segments, Tensor x) {
        if (projection.isPresent()) {
            try (Arena arena = Arena.ofShared()) {
                Tensor narrow = kernels.allocate(arena, tokenIds.length, tokens.size(1));
                kernels.gather(tokens, tokenIds, scale, narrow, Write.OVERWRITE);
                projection.get().forward(kernels, narrow, x, Write.OVERWRITE);
            }
        } else {
            kernels.gather(tokens, tokenIds, scale, x, Write.OVERWRITE);
        }
        if (positions.isPresent()) {
            kernels.gather(positions.get(), segments.positions(), 1, x, Write.ACCUMULATE);
        }
    }
}

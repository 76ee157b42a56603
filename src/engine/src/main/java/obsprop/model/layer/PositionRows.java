package obsprop.model.layer;

import java.util.Optional;
import java.util.stream.IntStream;
import obsprop.kernel.Segments;
import obsprop.tensor.Tensor;

/**
 * The rows at one position of each of some prompts of one length: what an observable reads of a batch. Immutable.
 *
 * @param position from 0
 * @param length tokens of each prompt
 */
public record PositionRows(int position, int length) {
    /** Where these rows, at least one, lie at the same position of prompts of the same length. */
    public static Optional<PositionRows> of(Segments segments, IntStream rows) {
        int length = segments.longest();
        if (segments.rows() != segments.count() * length) {
            return Optional.empty();
        }
        int[] positions = rows.map(row -> row % length).distinct().toArray();
        return positions.length == 1 ? Optional.of(new PositionRows(positions[0], length)) : Optional.empty();
    }

    /** Whether a row of the batch is one of them. */
    public boolean has(int row) {
        return row % length == position;
    }

    /** The view of them in x [N,...], or in K cotangents [K*N,...]. */
    public Tensor in(Tensor x) {
        return x.slice(0, position, x.size(0), length);
    }

    /** How many there are among {@code rows}. */
    public int count(int rows) {
        return rows / length;
    }
}

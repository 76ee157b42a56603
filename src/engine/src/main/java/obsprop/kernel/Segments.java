package obsprop.kernel;

import java.util.Arrays;

/**
 * How the rows of a ragged batch fall into prompts: prompt b owns rows {@code start(b) <= row < start(b + 1)}. Nothing
 * is padded. Immutable.
 */
public final class Segments {
    private final int[] starts;
    private final int[] positions;
    private final int longest;

    /** From the length of each prompt. */
    public Segments(int... lengths) {
        starts = new int[lengths.length + 1];
        int longestSoFar = 0;
        for (int b = 0; b < lengths.length; b++) {
            if (lengths[b] < 1) {
                throw new IllegalArgumentException("prompt " + b + " is empty");
            }
            starts[b + 1] = Math.addExact(starts[b], lengths[b]);
            longestSoFar = Math.max(longestSoFar, lengths[b]);
        }
        longest = longestSoFar;
        positions = new int[rows()];
        for (int b = 0; b < lengths.length; b++) {
            for (int t = 0; t < lengths[b]; t++) {
                positions[starts[b] + t] = t;
            }
        }
    }

    /** Number of prompts. */
    public int count() {
        return starts.length - 1;
    }

    /** First row of prompt {@code b}; {@code start(count())} is the number of rows. */
    public int start(int b) {
        return starts[b];
    }

    public int length(int b) {
        return starts[b + 1] - starts[b];
    }

    /** Total number of rows. */
    public int rows() {
        return starts[starts.length - 1];
    }

    public int longest() {
        return longest;
    }

    /** Position of {@code row} within its prompt, from 0. */
    public int position(int row) {
        return positions[row];
    }

    /** The positions of all rows: the array itself, for the hot path; callers must not write to it. */
    public int[] positions() {
        return positions;
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof Segments that && Arrays.equals(starts, that.starts);
    }

    @Override
    public int hashCode() {
        return Arrays.hashCode(starts);
    }
}

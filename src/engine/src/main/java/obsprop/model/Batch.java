package obsprop.model;

import java.util.Arrays;
import java.util.List;
import obsprop.kernel.Segments;

/**
 * Prompts of any lengths, one after the other, nothing padded.
 *
 * @param tokenIds the tokens of all prompts
 * @param segments which rows belong to which prompt
 */
public record Batch(int[] tokenIds, Segments segments) {
    public Batch {
        if (tokenIds.length != segments.rows()) {
            throw new IllegalArgumentException(tokenIds.length + " tokens for " + segments.rows() + " rows");
        }
    }

    public static Batch of(int[]... prompts) {
        return of(Arrays.asList(prompts));
    }

    public static Batch of(List<int[]> prompts) {
        int[] lengths = prompts.stream().mapToInt(p -> p.length).toArray();
        int[] ids = prompts.stream().flatMapToInt(Arrays::stream).toArray();
        return new Batch(ids, new Segments(lengths));
    }

    /** Number of rows of activations. */
    public int rows() {
        return tokenIds.length;
    }
}

package obsprop.analysis.search;

import java.util.List;
import obsprop.analysis.patching.PatchMode;
import obsprop.propagation.Path;

/**
 * How paths are searched for.
 *
 * @param beam how many paths are kept after each step, and found in the end
 * @param depth how many steps a path has at most
 * @param tail steps nearest the output that every path begins with; {@link Path#OUTPUT} for none
 * @param tokens which tokens, from 0 or from the end with -1, heads may read; all where it is empty
 */
public record SearchOptions(PatchMode mode, Rank rank, int beam, int depth, Path tail, List<Integer> tokens) {
    public SearchOptions {
        tokens = List.copyOf(tokens);
        if (beam < 1 || depth < 1) {
            throw new IllegalArgumentException("beam " + beam + ", depth " + depth + ": both must be at least 1");
        }
        if (tail.steps().size() > depth) {
            throw new IllegalArgumentException("the tail \"" + tail + "\" has " + tail.steps().size()
                    + " steps, more than the depth " + depth + " allows");
        }
    }

    /** From the output over all tokens, by signed effect, values patched only. */
    public static SearchOptions of(int beam, int depth) {
        return new SearchOptions(PatchMode.OV_ONLY, Rank.SIGNED, beam, depth, Path.OUTPUT, List.of());
    }
}

package obsprop.analysis.scores;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * A piece of a document that is run as one prompt.
 *
 * @param firstScored tokens before this one only give context: they were scored in an earlier window
 * @param document number of the document in the corpus, from 0
 * @param start position of the window's first token in the document
 */
public record Window(int[] tokenIds, int firstScored, long document, int start) {
    public Window {
        if (tokenIds.length == 0 || firstScored < 0 || firstScored >= tokenIds.length) {
            throw new IllegalArgumentException("a window of " + tokenIds.length + " tokens scored from " + firstScored);
        }
    }

    /**
     * Cuts a document into windows of at most {@code length} tokens that start every {@code stride} tokens, so that
     * neighbours share {@code length - stride} tokens; each token is scored once, in the first window that holds it. The
     * last window ends with the document. An empty document has none.
     */
    public static List<Window> cut(int[] document, long number, int length, int stride) {
        if (stride < 1 || stride > length) {
            throw new IllegalArgumentException("windows of " + length + " tokens every " + stride
                    + ": the stride must lie between 1 and the length");
        }
        List<Window> windows = new ArrayList<>();
        int done = 0;
        for (int start = 0; done < document.length; start += stride) {
            int end = Math.min(document.length, start + length);
            windows.add(new Window(Arrays.copyOfRange(document, start, end), done - start, number, start));
            done = end;
        }
        return windows;
    }

    public int length() {
        return tokenIds.length;
    }
}

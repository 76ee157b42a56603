package obsprop.analysis.norms;

import java.util.ArrayList;
import java.util.List;
import obsprop.model.Batch;

/** Prompts in batches, so that memory does not grow with their number. */
final class Batches {
    /** A longer prompt is a batch by itself. */
    private static final int TOKENS = 1024;

    private Batches() {}

    static List<Batch> of(List<int[]> prompts) {
        List<Batch> batches = new ArrayList<>();
        for (int from = 0, to; from < prompts.size(); from = to) {
            int tokens = prompts.get(from).length;
            for (to = from + 1; to < prompts.size() && tokens + prompts.get(to).length <= TOKENS; to++) {
                tokens += prompts.get(to).length;
            }
            batches.add(Batch.of(prompts.subList(from, to)));
        }
        return batches;
    }
}

package obsprop.weights.train;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import obsprop.model.Batch;
import obsprop.weights.SeededRandom;

/**
 * Cuts tokenized documents into training batches, epoch after epoch in a new order. Deterministic for a seed.
 *
 * <p>Half of the prompts are one document between two separators; some lack the first one, so that a prompt need not
 * begin with it; the others are documents in a row, up to the context, so that every position is trained and a prompt
 * may hold several.
 */
final class Batches {
    private static final double SINGLE = 0.5;
    private static final double WITHOUT_SEPARATOR = 0.2;

    private final List<int[]> documents;
    private final int separator;
    private final int context;
    private final int tokens;
    private final SeededRandom random;
    private final int[] order;
    private int next;
    private int[] pending = {};

    /**
     * @param documents token ids without separators, each shorter than the context
     * @param tokens rows of a batch, at most
     */
    Batches(List<int[]> documents, int separator, int context, int tokens, long seed) {
        this.documents = documents;
        this.separator = separator;
        this.context = context;
        this.tokens = tokens;
        this.random = SeededRandom.stream(seed, 1);
        this.order = IntStream.range(0, documents.size()).toArray();
        this.next = order.length;
    }

    /** A batch and, for each of its rows, the token that follows. */
    record Examples(Batch batch, int[] targets) {
        /** Every row of each text but the last predicts the token after it. */
        static Examples of(List<int[]> texts) {
            List<int[]> prompts = texts.stream().map(t -> Arrays.copyOf(t, t.length - 1)).toList();
            int[] targets = texts.stream().flatMapToInt(t -> Arrays.stream(t, 1, t.length)).toArray();
            return new Examples(Batch.of(prompts), targets);
        }
    }

    Examples next() {
        List<int[]> texts = new ArrayList<>();
        int rows = 0;
        while (true) {
            int[] text = pending.length > 0 ? pending : text();
            pending = text;
            if (rows > 0 && rows + text.length - 1 > tokens) {
                return Examples.of(texts);
            }
            texts.add(text);
            rows += text.length - 1;
            pending = new int[0];
        }
    }

    private int[] text() {
        double kind = random.nextDouble();
        if (kind < SINGLE) {
            return between(document());
        }
        if (kind < SINGLE + WITHOUT_SEPARATOR) {
            int[] bare = Arrays.copyOf(peek(), peek().length + 1);
            bare[bare.length - 1] = separator;
            document();
            return bare;
        }
        int[] row = between(document());
        while (row.length + peek().length <= context) {
            int[] more = between(document());
            int length = row.length;
            row = Arrays.copyOf(row, length + more.length - 1);
            System.arraycopy(more, 1, row, length, more.length - 1);
        }
        return row;
    }

    private int[] between(int[] document) {
        int[] text = new int[document.length + 2];
        System.arraycopy(document, 0, text, 1, document.length);
        text[0] = separator;
        text[text.length - 1] = separator;
        return text;
    }

    private int[] peek() {
        if (next == order.length) {
            random.shuffle(order);
            next = 0;
        }
        return documents.get(order[next]);
    }

    private int[] document() {
        int[] document = peek();
        next++;
        return document;
    }
}

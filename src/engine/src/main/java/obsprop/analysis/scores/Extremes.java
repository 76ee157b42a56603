package obsprop.analysis.scores;

import java.io.DataInput;
import java.io.DataOutput;
import java.io.IOException;
import java.util.Comparator;
import java.util.List;
import java.util.PriorityQueue;

/** The k best tokens of a stream; of equal scores the earlier token is better. */
final class Extremes {
    /** Which scores are best. */
    enum End {
        TOP(Comparator.comparingDouble(ScoredToken::score).reversed()),
        BOTTOM(Comparator.comparingDouble(ScoredToken::score));

        private final Comparator<ScoredToken> bestFirst;

        End(Comparator<ScoredToken> byScore) {
            bestFirst = byScore.thenComparingLong(ScoredToken::document).thenComparingInt(ScoredToken::position);
        }

        private boolean better(double score, double than) {
            return this == TOP ? score > than : score < than;
        }
    }

    private final End end;
    private final int k;
    private final PriorityQueue<ScoredToken> worstFirst;

    Extremes(End end, int k) {
        this.end = end;
        this.k = k;
        worstFirst = new PriorityQueue<>(end.bestFirst.reversed());
    }

    /** Whether a later token of this score would be kept: spares making the others. */
    boolean admits(double score) {
        return k > 0 && (worstFirst.size() < k || end.better(score, worstFirst.element().score()));
    }

    /** Takes in a token that comes after all before. */
    void add(ScoredToken token) {
        worstFirst.add(token);
        if (worstFirst.size() > k) {
            worstFirst.remove();
        }
    }

    List<ScoredToken> bestFirst() {
        return worstFirst.stream().sorted(end.bestFirst).toList();
    }

    void write(DataOutput out) throws IOException {
        List<ScoredToken> tokens = bestFirst();
        out.writeInt(tokens.size());
        for (ScoredToken token : tokens) {
            token.write(out);
        }
    }

    void read(DataInput in) throws IOException {
        int count = in.readInt();
        for (int i = 0; i < count; i++) {
            worstFirst.add(ScoredToken.read(in));
        }
    }
}

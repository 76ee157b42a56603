package obsprop.analysis.scores;

import java.io.DataInput;
import java.io.DataOutput;
import java.io.IOException;
import java.util.Arrays;
import java.util.List;
import obsprop.analysis.statistics.Histogram;
import obsprop.analysis.statistics.Moments;

/** What is kept of one vector's scores; its size does not depend on the number of tokens. */
public final class VectorScores {
    private final ScoreOptions options;
    private final Extremes top;
    private final Extremes bottom;
    private Moments moments = new Moments();
    private Histogram histogram = new Histogram();
    private long notFinite;

    VectorScores(ScoreOptions options) {
        this.options = options;
        top = new Extremes(Extremes.End.TOP, options.k());
        bottom = new Extremes(Extremes.End.BOTTOM, options.k());
    }

    void add(Window window, int i, double score) {
        if (!Double.isFinite(score)) {
            notFinite++;
            return;
        }
        moments.add(score, 0);
        histogram.add(score);
        if (top.admits(score) || bottom.admits(score)) {
            ScoredToken token = token(window, i, score);
            if (top.admits(score)) {
                top.add(token);
            }
            if (bottom.admits(score)) {
                bottom.add(token);
            }
        }
    }

    private ScoredToken token(Window window, int i, double score) {
        int from = Math.max(0, i - options.contextTokens());
        int to = i + 1 + Math.min(window.length() - i - 1, options.contextTokens());
        int[] context = Arrays.copyOfRange(window.tokenIds(), from, to);
        return new ScoredToken(score, window.document(), window.start() + i, context, i - from);
    }

    /** Number of scored tokens. */
    public long count() {
        return (long) moments.count();
    }

    /** Tokens whose score was infinite or no number; they do not enter anything else. */
    public long notFinite() {
        return notFinite;
    }

    public double mean() {
        return moments.meanX();
    }

    public double deviation() {
        return moments.deviationX();
    }

    public Histogram histogram() {
        return histogram;
    }

    /** The highest scores, highest first. */
    public List<ScoredToken> top() {
        return top.bestFirst();
    }

    /** The lowest scores, lowest first. */
    public List<ScoredToken> bottom() {
        return bottom.bestFirst();
    }

    void write(DataOutput out) throws IOException {
        moments.write(out);
        histogram.write(out);
        out.writeLong(notFinite);
        top.write(out);
        bottom.write(out);
    }

    void read(DataInput in) throws IOException {
        moments = Moments.read(in);
        histogram = Histogram.read(in);
        notFinite = in.readLong();
        top.read(in);
        bottom.read(in);
    }
}

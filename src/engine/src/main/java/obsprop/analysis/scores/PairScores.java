package obsprop.analysis.scores;

import java.io.DataInput;
import java.io.DataOutput;
import java.io.IOException;
import java.util.function.ToDoubleFunction;
import obsprop.analysis.statistics.Interval;
import obsprop.analysis.statistics.Moments;
import obsprop.analysis.statistics.PoissonBootstrap;

/** The regression of one vector's scores on another's over the same tokens, with bootstrap intervals over windows. */
public final class PairScores {
    private final Pair pair;
    private Moments moments = new Moments();
    private PoissonBootstrap bootstrap;

    /** Numbers of two vectors: the scores of {@code to} are predicted from those of {@code from}. */
    public record Pair(int from, int to) {}

    PairScores(Pair pair, ScoreOptions options) {
        this.pair = pair;
        bootstrap = new PoissonBootstrap(options.replicates(), options.seed());
    }

    /**
     * Takes in one window.
     *
     * @param scores [rows][K]
     * @param row of the window's first token
     */
    void add(long number, Window window, double[][] scores, int row) {
        Moments here = new Moments();
        for (int i = window.firstScored(); i < window.length(); i++) {
            double x = scores[row + i][pair.from];
            double y = scores[row + i][pair.to];
            if (Double.isFinite(x) && Double.isFinite(y)) {
                here.add(x, y);
            }
        }
        moments.add(here, 1);
        bootstrap.add(number, here);
    }

    public Pair pair() {
        return pair;
    }

    public Moments.Line line() {
        return moments.line();
    }

    /** Bootstrap intervals of a line's slope, intercept and r^2. */
    public record Intervals(Interval slope, Interval intercept, Interval r2) {}

    /** @param level for instance 0.95 */
    public Intervals intervals(double level) {
        return new Intervals(
                interval(Moments.Line::slope, level), interval(Moments.Line::intercept, level), interval(Moments.Line::r2, level));
    }

    private Interval interval(ToDoubleFunction<Moments.Line> value, double level) {
        return bootstrap.interval(m -> value.applyAsDouble(m.line()), level);
    }

    void write(DataOutput out) throws IOException {
        moments.write(out);
        bootstrap.write(out);
    }

    void read(DataInput in) throws IOException {
        moments = Moments.read(in);
        bootstrap = PoissonBootstrap.read(in);
    }
}

package obsprop.analysis.statistics;

import java.io.DataInput;
import java.io.DataOutput;
import java.io.IOException;

/** Running moments of pairs (x, y), by updates of the mean and of the centred sums, never E[x^2] - E[x]^2. */
public final class Moments {
    private double count;
    private double meanX;
    private double meanY;
    private double xx;
    private double xy;
    private double yy;

    /** Of no pairs. */
    public Moments() {}

    /**
     * A least-squares line {@code y = slope x + intercept} and its share of explained variance; NaN where x or y does
     * not vary.
     */
    public record Line(double slope, double intercept, double r2) {}

    /** Takes in one pair. */
    public void add(double x, double y) {
        count++;
        double dx = x - meanX;
        double dy = y - meanY;
        meanX += dx / count;
        meanY += dy / count;
        xx += dx * (x - meanX);
        xy += dx * (y - meanY);
        yy += dy * (y - meanY);
    }

    /** Takes in the pairs of {@code other}, each {@code times} times (Chan, Golub and LeVeque). */
    public void add(Moments other, int times) {
        double added = times * other.count;
        if (added == 0) {
            return;
        }
        double total = count + added;
        double dx = other.meanX - meanX;
        double dy = other.meanY - meanY;
        double between = count * (added / total);
        xx += times * other.xx + dx * dx * between;
        xy += times * other.xy + dx * dy * between;
        yy += times * other.yy + dy * dy * between;
        meanX += dx * (added / total);
        meanY += dy * (added / total);
        count = total;
    }

    public double count() {
        return count;
    }

    public double meanX() {
        return meanX;
    }

    public double meanY() {
        return meanY;
    }

    /** Standard deviation of x, of the sample; NaN for fewer than two. */
    public double deviationX() {
        return count < 2 ? Double.NaN : Math.sqrt(xx / (count - 1));
    }

    /** The regression of y on x. */
    public Line line() {
        double slope = xx > 0 ? xy / xx : Double.NaN;
        double r2 = xx > 0 && yy > 0 ? xy / xx * (xy / yy) : Double.NaN;
        return new Line(slope, meanY - slope * meanX, r2);
    }

    /** Writes the state, to the bit. */
    public void write(DataOutput out) throws IOException {
        for (double value : new double[] {count, meanX, meanY, xx, xy, yy}) {
            out.writeDouble(value);
        }
    }

    /** Reads what {@link #write} wrote. */
    public static Moments read(DataInput in) throws IOException {
        Moments m = new Moments();
        m.count = in.readDouble();
        m.meanX = in.readDouble();
        m.meanY = in.readDouble();
        m.xx = in.readDouble();
        m.xy = in.readDouble();
        m.yy = in.readDouble();
        return m;
    }
}

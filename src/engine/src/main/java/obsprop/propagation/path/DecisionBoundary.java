package obsprop.propagation.path;

import java.util.Optional;
import java.util.function.DoubleUnaryOperator;
import obsprop.propagation.HostRows;
import obsprop.propagation.path.MlpFinding.Outcome;

/** Looks for the points where a scalar field is zero. */
final class DecisionBoundary {
    /** Cells in which a sign change is looked for: a pair of roots within one cell may go unnoticed. */
    private static final int CELLS = 32;
    /** In lambda: finer than single precision activations resolve. */
    private static final double TOLERANCE = 1e-9;

    private static final int MOST_STEPS = 200;
    private static final int MOST_HALVINGS = 30;
    /** Of the step and of the residual, relative to the distance gone. */
    private static final double CONVERGED = 1e-5;
    /** Of the step, where it does not get shorter for the field's rounding: the distance is off by the square of it. */
    private static final double NEARLY = 1e-3;
    /** Of a length, what rounding to single precision moves a point by, a few times over. */
    private static final double UNITS = 0x1p-22;
    /** Steps without a shorter one, after which none is hoped for. */
    private static final int PATIENCE = 20;
    /** By as much, relatively, the merit may seem to rise: a field in single precision does not resolve less. */
    private static final double ROUNDING = 1e-6;

    private final ScalarField field;
    private final double[] clean;

    /** @param clean where searches start */
    DecisionBoundary(ScalarField field, double[] clean) {
        this.field = field;
        this.clean = clean;
    }

    /** A point that was found, and how; lambda is NaN off the segment. */
    record Found(Outcome outcome, double lambda, double[] x) {}

    /**
     * The zero on the segment from the clean point to {@code other} that is nearest to the clean one; where the sign
     * does not change, the point of least absolute value.
     */
    Found onSegment(double[] other) {
        DoubleUnaryOperator g = lambda -> field.value(between(other, lambda));
        double[] values = new double[CELLS + 1];
        int least = 0;
        for (int i = 0; i <= CELLS; i++) {
            values[i] = g.applyAsDouble((double) i / CELLS);
            if (values[i] == 0 || i > 0 && Math.signum(values[i]) == -Math.signum(values[i - 1])) {
                double from = Math.max(0, i - 1.0) / CELLS;
                return found(Outcome.ROOT, Brent.root(g, from, (double) i / CELLS, TOLERANCE), other);
            }
            least = Math.abs(values[i]) < Math.abs(values[least]) ? i : least;
        }
        double from = Math.max(0, least - 1.0) / CELLS;
        double to = Math.min(CELLS, least + 1.0) / CELLS;
        double lambda = Brent.minimum(l -> Math.abs(g.applyAsDouble(l)), from, to, TOLERANCE);
        if (Math.signum(g.applyAsDouble(lambda)) == -Math.signum(values[0])) {
            return found(Outcome.ROOT, Brent.root(g, from, lambda, TOLERANCE), other);
        }
        double value = Math.abs(g.applyAsDouble(lambda));
        boolean inside = value < Math.abs(values[least]);
        return found(Outcome.NO_SIGN_CHANGE, inside ? lambda : (double) least / CELLS, other);
    }

    private Found found(Outcome outcome, double lambda, double[] other) {
        return new Found(outcome, lambda, between(other, lambda));
    }

    private double[] between(double[] other, double lambda) {
        double[] x = new double[clean.length];
        for (int i = 0; i < x.length; i++) {
            x[i] = (1 - lambda) * clean[i] + lambda * other[i];
        }
        return x;
    }

    /**
     * The zero nearest to the clean point in any direction: the nearer of two searches, one from the clean point, one
     * from the zero on the segment to {@code other} where there is such a segment and such a zero.
     */
    Found nearest(Optional<double[]> other) {
        Found fromClean = descend(clean);
        if (other.isEmpty()) {
            return fromClean;
        }
        Found start = onSegment(other.get());
        if (start.outcome() != Outcome.ROOT) {
            return fromClean;
        }
        Found fromSegment = descend(start.x());
        Found better = better(fromClean, fromSegment);
        boolean nearer = isZero(better.x()) && distance(better.x()) < distance(start.x());
        return better.outcome() == Outcome.NEAREST || nearer ? better : start;
    }

    private boolean isZero(double[] x) {
        return isZero(field.value(x), HostRows.norm(field.gradient(x)), distance(x));
    }

    private boolean isZero(double value, double steep, double reach) {
        return Math.abs(value) <= steep * resolution(reach);
    }

    /** What a point that far from the clean one may be off by: never less than single precision does to the clean one. */
    private double resolution(double reach) {
        return Math.max(CONVERGED * reach, UNITS * HostRows.norm(clean));
    }

    private Found better(Found a, Found b) {
        if (a.outcome() != b.outcome()) {
            return a.outcome() == Outcome.NEAREST ? a : b;
        }
        return distance(a.x()) <= distance(b.x()) ? a : b;
    }

    private double distance(double[] x) {
        return HostRows.norm(HostRows.plus(x, -1, clean));
    }

    /**
     * Hasofer, Lind, Rackwitz and Fiessler's iteration: go to the point nearest to the clean one on the field's tangent
     * plane, as far as a merit function (squared distance and absolute value) falls.
     */
    private Found descend(double[] start) {
        double[] x = start;
        double weight = 0;
        double[] best = start;
        double shortest = Double.POSITIVE_INFINITY;
        int since = 0;
        for (int i = 0; i < MOST_STEPS && since < PATIENCE; i++) {
            double value = field.value(x);
            double[] gradient = field.gradient(x);
            double steep = HostRows.norm(gradient);
            if (steep == 0) {
                break;
            }
            double[] gone = HostRows.plus(x, -1, clean);
            double along = (HostRows.dot(gradient, gone) - value) / (steep * steep);
            double[] step = HostRows.plus(scaled(along, gradient), -1, gone);
            double reach = HostRows.norm(gone);
            double length = HostRows.norm(step);
            if (isZero(value, steep, reach)) {
                if (length <= resolution(reach)) {
                    return new Found(Outcome.NEAREST, Double.NaN, x);
                }
                since = length < shortest * reach ? 0 : since + 1;
                best = since == 0 ? x : best;
                shortest = Math.min(shortest, length / reach);
            }
            weight = Math.max(weight, 2 * Math.max(Math.abs(along), reach / steep));
            x = shortened(x, step, weight);
        }
        boolean near = shortest <= NEARLY;
        return new Found(near ? Outcome.NEAREST : Outcome.NOT_CONVERGED, Double.NaN, near ? best : x);
    }

    private double[] shortened(double[] x, double[] step, double weight) {
        double before = merit(x, weight) * (1 + ROUNDING);
        double share = 1;
        for (int i = 0; i < MOST_HALVINGS && merit(HostRows.plus(x, share, step), weight) >= before; i++) {
            share /= 2;
        }
        return HostRows.plus(x, share, step);
    }

    private double merit(double[] x, double weight) {
        double distance = distance(x);
        return distance * distance / 2 + weight * Math.abs(field.value(x));
    }

    private static double[] scaled(double scale, double[] x) {
        return HostRows.plus(new double[x.length], scale, x);
    }
}

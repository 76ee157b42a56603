package obsprop.analysis.probes;

import java.util.Arrays;
import java.util.stream.IntStream;
import obsprop.analysis.statistics.Vectors;

/**
 * L2-regularised logistic regression: the minimum of
 * {@code sum_i log(1 + exp(-s_i (w . x_i + b))) + lambda/2 ||w||^2} with signs s_i of the classes; b is not regularised.
 * Newton's method, its steps by conjugate gradients, so that d x d matrices are never built.
 */
public final class LogisticRegression {
    private static final int NEWTON_STEPS = 200;
    /** Of the gradient's norm, as a share of that at the start. */
    private static final double TOLERANCE = 1e-10;
    /** Of a conjugate-gradient solution, as a share of the gradient. */
    private static final double INNER_TOLERANCE = 1e-2;
    /** Share of the predicted decrease that a step must reach (Armijo). */
    private static final double SUFFICIENT = 1e-4;

    private final double[][] x;
    private final double[] signs;
    private final double lambda;
    private final int d;

    /** A trained classifier: its score {@code w . x + b} is the log odds of the positive class. */
    public record Model(double[] weights, double intercept) {
        public double score(double[] x) {
            return Vectors.dot(weights, x) + intercept;
        }
    }

    private LogisticRegression(double[][] x, boolean[] positive, double lambda) {
        this.x = x;
        this.lambda = lambda;
        d = x[0].length;
        signs = new double[x.length];
        Arrays.setAll(signs, i -> positive[i] ? 1 : -1);
    }

    /**
     * Trains on examples x [n][d].
     *
     * @param lambda positive; 1 is scikit-learn's default (C = 1)
     * @throws IllegalArgumentException if one of the classes has no example
     */
    public static Model train(double[][] x, boolean[] positive, double lambda) {
        long positives = IntStream.range(0, positive.length).filter(i -> positive[i]).count();
        if (positives == 0 || positives == positive.length) {
            throw new IllegalArgumentException("logistic regression needs examples of both classes, but has " + positives
                    + " positive ones of " + positive.length);
        }
        return new LogisticRegression(x, positive, lambda).train();
    }

    /** Parameters are w followed by b. */
    private Model train() {
        double[] theta = new double[d + 1];
        double[] gradient = gradient(theta, signs, x, lambda);
        double goal = TOLERANCE * Vectors.norm(gradient);
        for (int i = 0; i < NEWTON_STEPS && Vectors.norm(gradient) > goal; i++) {
            double[] step = newtonStep(theta, gradient);
            double[] next = lineSearch(theta, step, Vectors.dot(gradient, step));
            if (Arrays.equals(next, theta)) {
                break;
            }
            theta = next;
            gradient = gradient(theta, signs, x, lambda);
        }
        return new Model(Arrays.copyOf(theta, d), theta[d]);
    }

    /** Margins {@code s_i (w . x_i + b)}. */
    private static double margin(double[] theta, double sign, double[] x) {
        double z = theta[x.length];
        for (int j = 0; j < x.length; j++) {
            z += theta[j] * x[j];
        }
        return sign * z;
    }

    private double objective(double[] theta) {
        double sum = 0;
        for (int i = 0; i < x.length; i++) {
            double m = margin(theta, signs[i], x[i]);
            sum += Math.max(0, -m) + Math.log1p(Math.exp(-Math.abs(m)));
        }
        double[] w = Arrays.copyOf(theta, d);
        return sum + lambda / 2 * Vectors.dot(w, w);
    }

    /** Of the objective, at parameters w followed by b: with it a test proves a minimum. */
    static double[] gradient(double[] theta, double[] signs, double[][] x, double lambda) {
        int d = theta.length - 1;
        double[] gradient = new double[d + 1];
        for (int j = 0; j < d; j++) {
            gradient[j] = lambda * theta[j];
        }
        for (int i = 0; i < x.length; i++) {
            double slope = -signs[i] / (1 + Math.exp(margin(theta, signs[i], x[i])));
            for (int j = 0; j < d; j++) {
                gradient[j] += slope * x[i][j];
            }
            gradient[d] += slope;
        }
        return gradient;
    }

    /** Solves {@code H step = -gradient} far enough. */
    private double[] newtonStep(double[] theta, double[] gradient) {
        double[] curvature = new double[x.length];
        for (int i = 0; i < x.length; i++) {
            double p = 1 / (1 + Math.exp(-margin(theta, 1, x[i])));
            curvature[i] = p * (1 - p);
        }
        double[] step = new double[d + 1];
        double[] residual = Arrays.stream(gradient).map(g -> -g).toArray();
        double[] direction = residual.clone();
        double square = Vectors.dot(residual, residual);
        double goal = INNER_TOLERANCE * INNER_TOLERANCE * square * Math.min(1, square);
        for (int i = 0; i < 2 * (d + 1) && square > goal; i++) {
            double[] product = hessianProduct(curvature, direction);
            double bend = Vectors.dot(direction, product);
            if (!(bend > 0)) {
                break;
            }
            double length = square / bend;
            Vectors.addScaled(length, direction, step);
            Vectors.addScaled(-length, product, residual);
            double next = Vectors.dot(residual, residual);
            double share = next / square;
            for (int j = 0; j <= d; j++) {
                direction[j] = residual[j] + share * direction[j];
            }
            square = next;
        }
        return step;
    }

    /** {@code (X^T D X + lambda I) v}, the intercept as a column of ones. */
    private double[] hessianProduct(double[] curvature, double[] v) {
        double[] product = new double[d + 1];
        for (int j = 0; j < d; j++) {
            product[j] = lambda * v[j];
        }
        for (int i = 0; i < x.length; i++) {
            double z = curvature[i] * margin(v, 1, x[i]);
            for (int j = 0; j < d; j++) {
                product[j] += z * x[i][j];
            }
            product[d] += z;
        }
        return product;
    }

    /** Halves the step until the objective falls enough. */
    private double[] lineSearch(double[] theta, double[] step, double slope) {
        double here = objective(theta);
        for (double length = 1; length > 0x1p-40; length /= 2) {
            double[] next = theta.clone();
            Vectors.addScaled(length, step, next);
            // Near the minimum the objective no longer resolves the decrease: there a full step is taken as it is.
            if (objective(next) <= here + SUFFICIENT * length * slope + Math.ulp(here) * x.length) {
                return next;
            }
        }
        return theta;
    }
}

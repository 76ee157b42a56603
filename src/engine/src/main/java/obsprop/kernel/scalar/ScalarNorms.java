package obsprop.kernel.scalar;

import obsprop.kernel.NormParameters.Kind;
import obsprop.kernel.NormParameters;
import obsprop.kernel.NormRule;
import obsprop.kernel.Write;
import obsprop.tensor.Tensor;

/** LayerNorm and RMSNorm. Rank 3 is rank 2 for each head. */
final class ScalarNorms {
    private ScalarNorms() {}

    static void norm(Tensor x, NormParameters parameters, Tensor y, Tensor stats) {
        if (x.rank() == 3) {
            for (int h = 0; h < x.size(1); h++) {
                norm(x.select(1, h), parameters, y.select(1, h), stats.select(1, h));
            }
            return;
        }
        double[] gain = gain(parameters);
        double[] bias = parameters.bias().map(Tensor::toDoubles).orElseGet(() -> new double[gain.length]);
        for (int r = 0; r < x.size(0); r++) {
            double[] row = x.select(0, r).toDoubles();
            double mean = parameters.kind() == Kind.LAYER ? mean(row) : 0;
            for (int i = 0; i < row.length; i++) {
                row[i] -= mean;
            }
            double rstd = 1 / Math.sqrt(Views.dot(row, row) / row.length + parameters.epsilon());
            for (int i = 0; i < row.length; i++) {
                row[i] = gain[i] * row[i] * rstd + bias[i];
            }
            Views.write(row, y.select(0, r), Write.OVERWRITE);
            stats.set(mean, r, 0);
            stats.set(rstd, r, 1);
        }
    }

    static void normVjp(
            Tensor dy, Tensor x, Tensor stats, NormParameters parameters, NormRule rule, Tensor dx, Write write) {
        if (x.rank() == 3) {
            for (int h = 0; h < x.size(1); h++) {
                normVjp(dy.select(1, h), x.select(1, h), stats.select(1, h), parameters, rule, dx.select(1, h), write);
            }
            return;
        }
        double[] gain = gain(parameters);
        for (int r = 0; r < dy.size(0); r++) {
            int saved = r % x.size(0);
            double[] cotangent = dy.select(0, r).toDoubles();
            if (rule != NormRule.NONE) {
                for (int i = 0; i < gain.length; i++) {
                    cotangent[i] *= gain[i];
                }
            }
            double[] row = x.select(0, saved).toDoubles();
            double mean = stats.get(saved, 0);
            double rstd = stats.get(saved, 1);
            switch (rule) {
                case EXACT -> {
                    removeNormalised(cotangent, row, mean, rstd);
                    centre(cotangent, parameters.kind());
                    scale(cotangent, rstd);
                }
                case FROZEN -> {
                    centre(cotangent, parameters.kind());
                    scale(cotangent, rstd);
                }
                case PAPER -> scale(cotangent, Math.sqrt(row.length / Views.dot(row, row)));
                case WEIGHT_ONLY, NONE -> {}
            }
            Views.write(cotangent, dx.select(0, r), write);
        }
    }

    /** {@code c -= xh (xh . c) / n} with {@code xh = (x - mean) * rstd}; xh sums to 0, so it commutes with P. */
    private static void removeNormalised(double[] c, double[] x, double mean, double rstd) {
        for (int i = 0; i < x.length; i++) {
            x[i] = (x[i] - mean) * rstd;
        }
        Views.add(-Views.dot(x, c) / x.length, x, c);
    }

    /** {@code c = P c}. */
    private static void centre(double[] c, Kind kind) {
        if (kind == Kind.LAYER) {
            double mean = mean(c);
            for (int i = 0; i < c.length; i++) {
                c[i] -= mean;
            }
        }
    }

    private static void scale(double[] c, double factor) {
        for (int i = 0; i < c.length; i++) {
            c[i] *= factor;
        }
    }

    private static double[] gain(NormParameters parameters) {
        double[] gain = parameters.gain().toDoubles();
        for (int i = 0; i < gain.length; i++) {
            gain[i] += parameters.gainOffset();
        }
        return gain;
    }

    private static double mean(double[] row) {
        double sum = 0;
        for (double value : row) {
            sum += value;
        }
        return sum / row.length;
    }
}

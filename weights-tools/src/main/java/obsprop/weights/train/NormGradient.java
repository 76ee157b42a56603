package obsprop.weights.train;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import obsprop.model.layer.Norm;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;

/** Gradients of the gain and bias of a norm, added to those that are there. */
final class NormGradient {
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;

    private final Parameters parameters;
    private final LinearGradient sums;

    NormGradient(Parameters parameters, LinearGradient sums) {
        this.parameters = parameters;
        this.sums = sums;
    }

    /**
     * Of {@code y = g * xh + b} with {@code xh = (x - mean) * rstd}: {@code dg += sum dy * xh}, {@code db += sum dy}.
     *
     * @param dy [N,n]
     * @param x the norm's input [N,n]
     * @param stats mean and rstd of each row, [N,2]
     */
    void add(Norm norm, Tensor dy, Tensor x, Tensor stats) {
        if (norm instanceof Norm.Normalise(var p)) {
            addGain(dy, x, stats, parameters.gradientOf(p.gain()));
            p.bias().ifPresent(bias -> sums.addColumnSums(dy, parameters.gradientOf(bias)));
        }
    }

    private static void addGain(Tensor dy, Tensor x, Tensor stats, Tensor dGain) {
        int n = x.size(1);
        double[] total = new double[n];
        float[] dyRow = new float[n];
        float[] xRow = new float[n];
        for (int r = 0; r < x.size(0); r++) {
            read(dy, r, dyRow);
            read(x, r, xRow);
            double mean = stats.get(r, 0);
            double rstd = stats.get(r, 1);
            for (int j = 0; j < n; j++) {
                total[j] += dyRow[j] * ((xRow[j] - mean) * rstd);
            }
        }
        for (int j = 0; j < n; j++) {
            dGain.set(dGain.get(j) + total[j], j);
        }
    }

    private static void read(Tensor x, int row, float[] values) {
        if (x.dtype() == DType.F32) {
            MemorySegment.copy(x.segment(), FLOAT, row * x.stride(0) * 4, values, 0, values.length);
        } else {
            for (int j = 0; j < values.length; j++) {
                values[j] = (float) x.get(row, j);
            }
        }
    }
}

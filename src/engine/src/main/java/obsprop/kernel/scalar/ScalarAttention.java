package obsprop.kernel.scalar;

import obsprop.kernel.AttentionRule;
import obsprop.kernel.AttentionSpec;
import obsprop.kernel.Kernels.AttentionCotangents;
import obsprop.kernel.Kernels.AttentionSaved;
import obsprop.kernel.RotaryStyle;
import obsprop.kernel.Segments;
import obsprop.kernel.Write;
import obsprop.tensor.Tensor;

/**
 * Rotary positions and causal attention. The VJP computes its pattern anew from q and k rather than from the saved log
 * sums, which a 32-bit type rounds.
 */
final class ScalarAttention {
    private ScalarAttention() {}

    static void rotate(Tensor x, int[] positions, Tensor cos, Tensor sin, RotaryStyle style, boolean inverse) {
        int m = cos.size(1);
        for (int r = 0; r < x.size(0); r++) {
            int position = positions[r % positions.length];
            for (int i = 0; i < m; i++) {
                int first = style == RotaryStyle.HALF_SPLIT ? i : 2 * i;
                int second = style == RotaryStyle.HALF_SPLIT ? i + m : 2 * i + 1;
                double c = cos.get(position, i);
                double s = inverse ? -sin.get(position, i) : sin.get(position, i);
                for (int h = 0; h < x.size(1); h++) {
                    double a = x.get(r, h, first);
                    double b = x.get(r, h, second);
                    x.set(a * c - b * s, r, h, first);
                    x.set(a * s + b * c, r, h, second);
                }
            }
        }
    }

    static void attention(
            Tensor q, Tensor k, Tensor v, AttentionSpec spec, Segments segments, Tensor z, Tensor lse) {
        int group = q.size(1) / k.size(1);
        for (int b = 0; b < segments.count(); b++) {
            int from = segments.start(b);
            for (int h = 0; h < q.size(1); h++) {
                double[][] keys = rows(k, h / group, from, segments.length(b));
                double[][] values = rows(v, h / group, from, segments.length(b));
                for (int t = 0; t < segments.length(b); t++) {
                    double[] scores = scores(q.select(1, h).select(0, from + t).toDoubles(), keys, t, spec);
                    lse.set(softmax(scores, spec.firstKey(t)), from + t, h);
                    double[] out = new double[z.size(2)];
                    for (int j = spec.firstKey(t); j <= t; j++) {
                        Views.add(scores[j], values[j], out);
                    }
                    Views.write(out, z.select(1, h).select(0, from + t), Write.OVERWRITE);
                }
            }
        }
    }

    static void attentionVjp(
            Tensor dz,
            AttentionSaved saved,
            AttentionSpec spec,
            Segments segments,
            AttentionRule rule,
            AttentionCotangents out) {
        int n = segments.rows();
        for (int c = 0; c < dz.size(0) / n; c++) {
            for (int b = 0; b < segments.count(); b++) {
                for (int g = 0; g < saved.k().size(1); g++) {
                    new GroupVjp(dz, saved, spec, rule, out, g, segments.start(b), c * n + segments.start(b))
                            .run(segments.length(b));
                }
            }
        }
    }

    /** One cotangent of one prompt through the heads of group g; the prompt's first row is {@code row}, and dRow in dz. */
    private record GroupVjp(
            Tensor dz,
            AttentionSaved saved,
            AttentionSpec spec,
            AttentionRule rule,
            AttentionCotangents out,
            int g,
            int row,
            int dRow) {
        void run(int length) {
            double[][] keys = rows(saved.k(), g, row, length);
            double[][] values = rows(saved.v(), g, row, length);
            double[][] dKeys = new double[length][keys[0].length];
            double[][] dValues = new double[length][values[0].length];
            int group = dz.size(1) / saved.k().size(1);
            for (int h = g * group; h < (g + 1) * group; h++) {
                double[][] queries = rows(saved.q(), h, row, length);
                double[][] dOut = rows(dz, h, dRow, length);
                for (int t = 0; t < length; t++) {
                    double[] scores = scores(queries[t], keys, t, spec);
                    double[] pattern = scores.clone();
                    softmax(pattern, spec.firstKey(t));
                    // z[t] = sum_j A[t,j] v[j]
                    for (int j = spec.firstKey(t); j <= t; j++) {
                        Views.add(pattern[j], dOut[t], dValues[j]);
                    }
                    if (rule == AttentionRule.EXACT) {
                        double[] dScores = dScores(dOut[t], pattern, scores, values, t);
                        double[] dQuery = new double[queries[t].length];
                        for (int j = spec.firstKey(t); j <= t; j++) {
                            // s = scale * q[t] . k[j]
                            Views.add(spec.scale() * dScores[j], keys[j], dQuery);
                            Views.add(spec.scale() * dScores[j], queries[t], dKeys[j]);
                        }
                        Views.write(dQuery, out.dq().select(1, h).select(0, dRow + t), Write.OVERWRITE);
                    }
                }
            }
            write(dValues, out.dv());
            if (rule == AttentionRule.EXACT) {
                write(dKeys, out.dk());
            }
        }

        /** {@code ds = A (dA - sum_j A dA)} with {@code dA[j] = dz . v[j]}, and through the soft cap. */
        private double[] dScores(double[] dOut, double[] pattern, double[] scores, double[][] values, int t) {
            double[] ds = new double[t + 1];
            double mean = 0;
            for (int j = spec.firstKey(t); j <= t; j++) {
                ds[j] = Views.dot(dOut, values[j]);
                mean += pattern[j] * ds[j];
            }
            for (int j = spec.firstKey(t); j <= t; j++) {
                double ratio = spec.capped() ? scores[j] / spec.softCap() : 0;
                ds[j] = pattern[j] * (ds[j] - mean) * (1 - ratio * ratio);
            }
            return ds;
        }

        private void write(double[][] values, Tensor to) {
            for (int j = 0; j < values.length; j++) {
                Views.write(values[j], to.select(1, g).select(0, dRow + j), Write.OVERWRITE);
            }
        }
    }

    static void attentionPattern(
            AttentionSaved saved, AttentionSpec spec, Segments segments, int prompt, Tensor pattern) {
        int heads = saved.q().size(1);
        int from = segments.start(prompt);
        int length = segments.length(prompt);
        Views.zero(pattern);
        for (int h = 0; h < heads; h++) {
            double[][] keys = rows(saved.k(), h / (heads / saved.k().size(1)), from, length);
            double[][] queries = rows(saved.q(), h, from, length);
            for (int t = 0; t < length; t++) {
                double[] row = scores(queries[t], keys, t, spec);
                softmax(row, spec.firstKey(t));
                for (int j = spec.firstKey(t); j <= t; j++) {
                    pattern.set(row[j], h, t, j);
                }
            }
        }
    }

    /** The rows of one head of a prompt: x[from .. from + length, h, :]. */
    private static double[][] rows(Tensor x, int h, int from, int length) {
        double[][] rows = new double[length][];
        for (int t = 0; t < length; t++) {
            rows[t] = x.select(1, h).select(0, from + t).toDoubles();
        }
        return rows;
    }

    /** The scores of query t, set for the permitted keys only. */
    private static double[] scores(double[] query, double[][] keys, int t, AttentionSpec spec) {
        double[] scores = new double[t + 1];
        for (int j = spec.firstKey(t); j <= t; j++) {
            double s = spec.scale() * Views.dot(query, keys[j]);
            scores[j] = spec.capped() ? spec.softCap() * Math.tanh(s / spec.softCap()) : s;
        }
        return scores;
    }

    /** Replaces {@code scores[first ..]} by their softmax; returns the log of the sum of their exponentials. */
    private static double softmax(double[] scores, int first) {
        double max = Double.NEGATIVE_INFINITY;
        for (int j = first; j < scores.length; j++) {
            max = Math.max(max, scores[j]);
        }
        double sum = 0;
        for (int j = first; j < scores.length; j++) {
            scores[j] = Math.exp(scores[j] - max);
            sum += scores[j];
        }
        for (int j = first; j < scores.length; j++) {
            scores[j] /= sum;
        }
        return max + Math.log(sum);
    }
}

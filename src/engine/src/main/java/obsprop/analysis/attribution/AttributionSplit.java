package obsprop.analysis.attribution;

import java.lang.foreign.Arena;
import obsprop.analysis.runs.CachedRun;
import obsprop.analysis.runs.MlpRows;
import obsprop.analysis.runs.Rows;
import obsprop.kernel.Kernels;
import obsprop.kernel.Transpose;
import obsprop.kernel.Write;
import obsprop.model.ModelConfig;
import obsprop.model.Point;
import obsprop.model.layer.Attention;
import obsprop.model.layer.Block;
import obsprop.propagation.Site;
import obsprop.tensor.Tensor;

/** Splits {@code y . x}, x the residual stream at a site, over the components that wrote x. */
final class AttributionSplit {
    private final CachedRun run;
    private final Kernels kernels;
    private final ModelConfig config;
    private final Site site;
    private final Tensor y;
    private final Arena arena;
    private double biases;

    /** @param y [1,d] */
    AttributionSplit(CachedRun run, Site site, Tensor y, Arena arena) {
        this.run = run;
        this.kernels = run.model().kernels();
        this.config = run.model().config();
        this.site = site;
        this.y = y;
        this.arena = arena;
    }

    /**
     * @param constant what was added to {@code y . x} on the way to the value
     * @param total the value
     */
    Attribution split(double constant, double total) {
        int layers = config.nLayers();
        double[][][] heads = new double[layers][config.nHeads()][run.length()];
        double[] mlps = new double[layers];
        for (int l = 0; l < layers && l <= site.layer(); l++) {
            if (l < site.layer() || site.point() == Point.MIDDLE) {
                heads[l] = heads(l);
            }
            if (l < site.layer()) {
                mlps[l] = mlp(l);
            }
        }
        double embedding = Rows.dot(kernels, y, at(run.residual(0, Point.INPUT)));
        return new Attribution(heads, mlps, embedding, constant + biases, total);
    }

    private Tensor at(Tensor rows) {
        return rows.slice(0, site.position(), site.position() + 1);
    }

    /** {@code A_h[t,j] * (W_O[h]^T y . v[j])} as [H][T], and what biases add. */
    private double[][] heads(int layer) {
        Block block = run.model().block(layer);
        Attention attention = block.attention();
        Tensor direction = y;
        if (!block.attentionOutput().isIdentity()) {
            FrozenNorm norm = new FrozenNorm(kernels, block.attentionOutput(), at(run.attentionSum(layer)), arena);
            biases += norm.bias(y);
            direction = norm.back(y);
        }
        if (attention.output().bias().isPresent()) {
            biases += Rows.dot(kernels, direction, attention.output().bias().get());
        }
        Tensor values = run.heads(layer).inputs().v();
        try (Arena scratch = Arena.ofShared()) {
            Tensor dMixed = kernels.allocate(scratch, 1, attention.nHeads() * attention.dHead());
            attention.output().vjp(kernels, direction, dMixed, Write.OVERWRITE);
            double[][] parts = byToken(attention, dMixed, values, scratch);
            weight(parts, Rows.matrix(kernels, run.pattern(layer, scratch).select(1, site.position())));
            return parts;
        }
    }

    private double[][] byToken(Attention attention, Tensor dMixed, Tensor values, Arena scratch) {
        int h = attention.nHeads();
        int groups = values.size(1);
        int each = h / groups;
        Tensor directions = dMixed.reshape(h, attention.dHead());
        Tensor products = kernels.allocate(scratch, h, run.length());
        for (int g = 0; g < groups; g++) {
            kernels.gemm(directions.slice(0, g * each, (g + 1) * each), Transpose.NO, values.select(1, g), Transpose.YES,
                    products.slice(0, g * each, (g + 1) * each), Write.OVERWRITE);
        }
        return Rows.matrix(kernels, products);
    }

    private static void weight(double[][] parts, double[][] pattern) {
        for (int h = 0; h < parts.length; h++) {
            for (int j = 0; j < parts[h].length; j++) {
                parts[h][j] *= pattern[h][j];
            }
        }
    }

    /** {@code y . mlp}, the MLP run again on this one row. */
    private double mlp(int layer) {
        Block block = run.model().block(layer);
        Tensor x = at(run.residual(layer, block.hasMiddle() ? Point.MIDDLE : Point.INPUT));
        try (Arena scratch = Arena.ofShared()) {
            Tensor row = kernels.allocate(scratch, 1, config.dModel());
            kernels.copy(x, row);
            return Rows.dot(kernels, y, MlpRows.forward(kernels, block, row, scratch));
        }
    }
}

package obsprop.kernel.cuda;

import java.lang.foreign.MemorySegment;
import obsprop.cuda.Cublas;
import obsprop.cuda.CudaDevice;
import obsprop.cuda.CudaFunction.Grid;
import obsprop.cuda.CudaPrecision;
import obsprop.kernel.AttentionRule;
import obsprop.kernel.AttentionSpec;
import obsprop.kernel.Kernels.AttentionCotangents;
import obsprop.kernel.Kernels.AttentionSaved;
import obsprop.kernel.Segments;
import obsprop.kernel.Write;
import obsprop.kernel.cuda.HeadProducts.Counts;
import obsprop.kernel.cuda.HeadProducts.Matrices;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;

/**
 * Attention of long prompts, or of few: all products by cuBLAS, a batch for the heads, the softmax between them by a kernel. Goes
 * through a prompt in strips of queries, which see no key behind them, so that memory grows with T and not with its
 * square. All cotangents share one pattern.
 */
final class LongAttention implements AutoCloseable {
    /** Queries of a strip: fewer skip more of the keys that are not seen, more make better products. */
    private static final int STRIP = 512;
    /** Scores of cotangents worked on at once, elements. */
    private static final long SCORES = 1L << 25;

    private static final int VECTOR = 4;
    /** Where a strip's keys begin is rounded down to this, for aligned loads. */
    private static final int ALIGNMENT = 8;

    private final Launcher launcher;
    private final HeadProducts products;
    private final Scratch pattern;
    private final Scratch cotangents;

    LongAttention(CudaDevice device, Launcher launcher, CudaPrecision precision) {
        this.launcher = launcher;
        products = new HeadProducts(device, precision);
        pattern = new Scratch(device);
        cotangents = new Scratch(device);
    }

    /** Queries {@code first .. first + queries - 1} of a prompt that starts at row {@code start}, and the keys they see. */
    private record Strip(int start, int first, int queries, int firstKey, int keys) {
        static Strip at(int start, int length, int first, AttentionSpec spec) {
            int end = Math.min(first + STRIP, length);
            int firstKey = spec.firstKey(first) / ALIGNMENT * ALIGNMENT;
            return new Strip(start, first, end - first, firstKey, end - firstKey);
        }

        int firstRow() {
            return start + first;
        }

        int firstKeyRow() {
            return start + firstKey;
        }

        /** Length of a row of scores in memory. */
        int stride() {
            return (keys + VECTOR - 1) / VECTOR * VECTOR;
        }

        /** Scores [H,K,queries,stride]. */
        Matrices scores(MemorySegment data, int cotangents) {
            long one = (long) queries * stride();
            return new Matrices(data, stride(), cotangents * one, one, false, false);
        }
    }

    void forward(AttentionSaved in, AttentionSpec spec, Segments segments) {
        for (int b = 0; b < segments.count(); b++) {
            for (int first = 0; first < segments.length(b); first += STRIP) {
                Strip strip = Strip.at(segments.start(b), segments.length(b), first, spec);
                Counts counts = counts(in, 1);
                MemorySegment a = pattern(in, spec, strip, "scoresSoftmax");
                products.multiply(counts, new Cublas.Size(strip.queries, in.q().size(2), strip.keys),
                        strip.scores(a, 1), Matrices.ofGroups(in.v(), strip.firstKeyRow(), 0),
                        Matrices.ofHeads(in.z(), strip.firstRow(), 0), Write.OVERWRITE);
            }
        }
    }

    void vjp(Tensor dz, AttentionSaved in, AttentionSpec spec, Segments segments, AttentionRule rule,
            AttentionCotangents out, Runnable clearKeys) {
        boolean severalStrips = segments.longest() > STRIP;
        if (severalStrips) {
            clearKeys.run(); // a key is reached from several strips, and they add
        }
        Write write = severalStrips ? Write.ACCUMULATE : Write.OVERWRITE;
        for (int b = 0; b < segments.count(); b++) {
            for (int first = 0; first < segments.length(b); first += STRIP) {
                Strip strip = Strip.at(segments.start(b), segments.length(b), first, spec);
                MemorySegment a = pattern(in, spec, strip, "scoresPattern");
                var pass = new VjpPass(dz, in, spec, segments.rows(), out, strip, a, write);
                pass.values();
                if (rule == AttentionRule.EXACT) {
                    pass.scores();
                }
            }
        }
    }

    private static Counts counts(AttentionSaved in, int cotangents) {
        return new Counts(in.q().size(1), in.k().size(1), cotangents);
    }

    /** The pattern [H,queries,stride] of a strip, by the kernel that turns products into it. */
    private MemorySegment pattern(AttentionSaved in, AttentionSpec spec, Strip strip, String kernel) {
        int heads = in.q().size(1);
        MemorySegment scores = pattern.take(DType.F32, heads, strip.queries, strip.stride()).segment();
        products.multiply(counts(in, 1), new Cublas.Size(strip.queries, strip.keys, in.q().size(2)),
                Matrices.ofHeads(in.q(), strip.firstRow(), 0),
                Matrices.ofGroups(in.k(), strip.firstKeyRow(), 0).transpose(),
                strip.scores(scores, 1), Write.OVERWRITE);
        launcher.begin().add(scores);
        strip(spec, strip);
        launcher.view(in.lse());
        launcher.launch(kernel, new Grid(strip.queries, heads, 1, threads(strip)));
        return scores;
    }

    /** {@code struct Scores}. */
    private void strip(AttentionSpec spec, Strip strip) {
        launcher.arguments()
                .struct()
                .add((float) spec.scale())
                .add(spec.capped() ? (float) spec.softCap() : 0f)
                .add(spec.window())
                .add(strip.start)
                .add(strip.first)
                .add(strip.queries)
                .add(strip.firstKey)
                .add(strip.keys)
                .add(strip.stride())
                .end();
    }

    private static int threads(Strip strip) {
        int warp = 32;
        return Math.clamp((strip.stride() / VECTOR + warp - 1) / warp * warp, warp, 256);
    }

    /** The VJP of one strip, whose pattern is known; transposes {@code z = A v}, {@code A = softmax(scale q k^T)}. */
    private final class VjpPass {
        private final Tensor dz;
        private final AttentionSaved in;
        private final AttentionSpec spec;
        private final int rows;
        private final AttentionCotangents out;
        private final Strip strip;
        private final MemorySegment pattern;
        private final Write write;
        private final int width;

        VjpPass(Tensor dz, AttentionSaved in, AttentionSpec spec, int rows, AttentionCotangents out, Strip strip,
                MemorySegment pattern, Write write) {
            this.dz = dz;
            this.in = in;
            this.spec = spec;
            this.rows = rows;
            this.out = out;
            this.strip = strip;
            this.pattern = pattern;
            this.write = write;
            width = in.q().size(2);
        }

        /** {@code dv += A^T dz}. */
        void values() {
            products.multiply(counts(in, dz.size(0) / rows), new Cublas.Size(strip.keys, width, strip.queries),
                    strip.scores(pattern, 1).shared().transpose(), Matrices.ofHeads(dz, strip.firstRow(), rows),
                    Matrices.ofGroups(out.dv(), strip.firstKeyRow(), rows), write);
        }

        /** dq and dk, as many cotangents at once as memory is meant for. */
        void scores() {
            int all = dz.size(0) / rows;
            long each = (long) in.q().size(1) * strip.queries * strip.stride();
            int atOnce = Math.clamp(SCORES / each, 1, Math.min(all, Launcher.MAX_GRID));
            for (int first = 0; first < all; first += atOnce) {
                scores(first, Math.min(atOnce, all - first));
            }
        }

        private void scores(int firstCotangent, int count) {
            Counts counts = counts(in, count);
            int offset = firstCotangent * rows;
            MemorySegment d = cotangents.take(DType.F32, in.q().size(1), count, strip.queries, strip.stride()).segment();
            Matrices dScores = strip.scores(d, count);
            products.multiply(counts, new Cublas.Size(strip.queries, strip.keys, width),
                    Matrices.ofHeads(dz, offset + strip.firstRow(), rows),
                    Matrices.ofGroups(in.v(), strip.firstKeyRow(), 0).transpose(), dScores, Write.OVERWRITE);
            launcher.begin().add(d).add(pattern);
            strip(spec, strip);
            launcher.arguments().add(count);
            launcher.view(in.lse());
            launcher.launch("scoresVjp", new Grid(strip.queries, in.q().size(1), count, threads(strip)));
            products.multiply(counts, new Cublas.Size(strip.queries, width, strip.keys), dScores,
                    Matrices.ofGroups(in.k(), strip.firstKeyRow(), 0),
                    Matrices.ofHeads(out.dq(), offset + strip.firstRow(), rows), Write.OVERWRITE);
            products.multiply(counts, new Cublas.Size(strip.keys, width, strip.queries), dScores.transpose(),
                    Matrices.ofHeads(in.q(), strip.firstRow(), 0),
                    Matrices.ofGroups(out.dk(), offset + strip.firstKeyRow(), rows), write);
        }
    }

    @Override
    public void close() {
        pattern.close();
        cotangents.close();
    }
}

package obsprop.kernel.cpu;

import java.lang.foreign.MemorySegment;
import obsprop.kernel.AttentionRule;
import obsprop.kernel.AttentionSpec;
import obsprop.kernel.Kernels.AttentionCotangents;
import obsprop.kernel.Kernels.AttentionSaved;
import obsprop.kernel.Segments;
import obsprop.kernel.cpu.Scratch.Slot;
import obsprop.tensor.Tensor;

/**
 * Causal attention, its VJP and its pattern, in blocks of queries against all their keys: a thread holds
 * {@link #QUERIES} rows of scores, so memory grows linearly with the prompt. One object serves one call at a time.
 */
final class Attention {
    /** Queries in a block, a multiple of the tile's rows. */
    private static final int QUERIES = 8 * Tiles.ROWS;
    /** Cotangents that share one recomputed pattern; more go to other chunks. */
    private static final int SHARING = 8;
    /** Multiply-adds below which a hand-off to other threads costs more than it saves. */
    private static final long SMALL = 200_000;

    private final Workers.Task forward = this::forwardChunk;
    private final Workers.Task backward = this::backwardChunk;
    private final Workers.Task patterns = this::patternChunk;
    private final ShortAttention shortPrompts = new ShortAttention(this);

    // The call's operands, which ShortAttention reads too.
    Tensor q;
    Tensor k;
    Tensor v;
    Tensor lse;
    Tensor z;
    Tensor dz;
    private Tensor pattern;
    AttentionCotangents out;
    AttentionSpec spec = new AttentionSpec(1, 1, 1);
    AttentionRule rule = AttentionRule.EXACT;
    Segments segments = new Segments();
    private int prompt;

    Attention(Tensor unused) {
        q = unused;
        k = unused;
        v = unused;
        lse = unused;
        z = unused;
        dz = unused;
        pattern = unused;
        out = new AttentionCotangents(unused, unused, unused);
    }

    /** See {@link obsprop.kernel.Kernels#attention}. */
    void run(
            Workers workers, Tensor queries, Tensor keys, Tensor values, Tensor sums, AttentionSpec with, Segments batch,
            Tensor y) {
        set(queries, keys, values, sums, with, batch);
        z = y;
        int blocks = 0;
        for (int b = 0; b < batch.count(); b++) {
            blocks += blocks(batch.length(b));
        }
        launch(workers, forward, blocks * heads(), 1);
    }

    /** See {@link obsprop.kernel.Kernels#attentionVjp}. */
    void runVjp(
            Workers workers, Tensor cotangent, AttentionSaved in, AttentionSpec with, Segments batch, AttentionRule under,
            AttentionCotangents to) {
        set(in, with, batch);
        dz = cotangent;
        rule = under;
        out = to;
        launch(workers, backward, batch.count() * groups() * sharings(), cotangents());
    }

    /** See {@link obsprop.kernel.Kernels#attentionPattern}. */
    void runPattern(
            Workers workers, AttentionSaved in, AttentionSpec with, Segments batch, int ofPrompt, Tensor to) {
        set(in, with, batch);
        prompt = ofPrompt;
        pattern = to;
        launch(workers, patterns, blocks(batch.length(ofPrompt)) * heads(), 1);
    }

    private void set(AttentionSaved in, AttentionSpec with, Segments batch) {
        set(in.q(), in.k(), in.v(), in.lse(), with, batch);
    }

    private void set(Tensor queries, Tensor keys, Tensor values, Tensor sums, AttentionSpec with, Segments batch) {
        q = queries;
        k = keys;
        v = values;
        lse = sums;
        spec = with;
        segments = batch;
    }

    private void launch(Workers workers, Workers.Task task, int chunks, int times) {
        long work = (long) segments.rows() * segments.longest() * heads() * q.size(2) * times;
        if (work <= SMALL) {
            workers.runInline(task, chunks);
        } else {
            workers.run(task, chunks);
        }
    }

    private int heads() {
        return q.size(1);
    }

    private int groups() {
        return k.size(1);
    }

    private int cotangents() {
        return dz.size(0) / Math.max(1, segments.rows());
    }

    private int sharings() {
        return (cotangents() + SHARING - 1) / SHARING;
    }

    private static int blocks(int length) {
        return (length + QUERIES - 1) / QUERIES;
    }

    private static long stride(int keys) {
        return Lanes.whole(keys + Lanes.N - 1);
    }

    // ---- forward

    private void forwardChunk(int chunk, Scratch scratch) {
        int head = chunk % heads();
        int block = chunk / heads();
        int b = 0;
        while (block >= blocks(segments.length(b))) {
            block -= blocks(segments.length(b));
            b++;
        }
        if (shortPrompts.takes(b)) {
            int headsPerGroup = heads() / groups();
            int run = shortPrompts.groupsAtOnce(b) * headsPerGroup;
            if (head % run == 0) {
                shortPrompts.forward(scratch, b, head, Math.min(heads(), head + run));
            }
            return;
        }
        int start = segments.start(b);
        int from = block * QUERIES;
        int to = Math.min(segments.length(b), from + QUERIES);
        int firstKey = spec.firstKey(from);
        int keys = to - firstKey;
        long stride = stride(keys);
        MemorySegment scores = scores(scratch, head, start, from, to);
        MemorySegment lanes = scratch.floats(Slot.ROW, Lanes.N);
        for (int t = from; t < to; t++) {
            long row = 4 * stride * (t - from);
            double sum = Softmax.normalise(scores, row, (int) stride, lanes);
            Lanes.set(lse.segment(), 4 * ((start + t) * lse.stride(0) + head), (float) sum);
        }
        Matrix values = head(scratch.b, v, start + firstKey, head / (heads() / groups()));
        Matrix result = head(scratch.c, z, start + from, head);
        Blocks.multiply(
                scratch, scratch.a.set(scores, 0, stride, 1), values, result, to - from, v.size(2), keys, false);
    }

    /** Views rows from {@code row} of one head of x [N,H,D]. */
    private static Matrix head(Matrix matrix, Tensor x, long row, int head) {
        return matrix.set(x.segment(), row * x.stride(0) + head * x.stride(1), x.stride(0), 1);
    }

    /** The same, transposed. */
    private static Matrix headTransposed(Matrix matrix, Tensor x, long row, int head) {
        return matrix.set(x.segment(), row * x.stride(0) + head * x.stride(1), 1, x.stride(0));
    }

    /** Scaled and capped scores of queries {@code from <= t < to}, from their first key on; -infinity where masked. */
    private MemorySegment scores(Scratch scratch, int head, int start, int from, int to) {
        int firstKey = spec.firstKey(from);
        int keys = to - firstKey;
        long stride = stride(keys);
        MemorySegment scores = scratch.floats(Slot.SCORES, QUERIES * stride);
        Matrix queries = head(scratch.a, q, start + from, head);
        Matrix transposedKeys = headTransposed(scratch.b, k, start + firstKey, head / (heads() / groups()));
        Matrix result = scratch.c.set(scores, 0, stride, 1);
        Blocks.multiply(scratch, queries, transposedKeys, result, to - from, keys, q.size(2), false);
        for (int t = from; t < to; t++) {
            long row = 4 * stride * (t - from);
            Softmax.fill(scores, row + 4L * keys, (int) stride - keys, 0f);
            Copies.scaleRow((float) spec.scale(), scores, row, scores, row, (int) stride);
        }
        if (spec.capped()) {
            Activations.softCap((float) spec.softCap(), scores, scores, scratch, 4 * (int) stride * (to - from));
        }
        for (int t = from; t < to; t++) {
            long row = 4 * stride * (t - from);
            int begin = spec.firstKey(t) - firstKey;
            int end = t + 1 - firstKey;
            Softmax.fill(scores, row, begin, Float.NEGATIVE_INFINITY);
            Softmax.fill(scores, row + 4L * end, (int) stride - end, Float.NEGATIVE_INFINITY);
        }
        return scores;
    }

    // ---- pattern

    /** Turns scores into the pattern, {@code exp(s - lse)}. */
    private void toPattern(Scratch scratch, MemorySegment scores, long stride, int head, int start, int from, int to) {
        MemorySegment lanes = scratch.floats(Slot.ROW, Lanes.N);
        for (int t = from; t < to; t++) {
            float log = Lanes.get(lse.segment(), 4 * ((start + t) * lse.stride(0) + head));
            Softmax.expMinus(scores, 4 * stride * (t - from), (int) stride, log, lanes);
        }
    }

    private void patternChunk(int chunk, Scratch scratch) {
        int head = chunk % heads();
        int length = segments.length(prompt);
        int start = segments.start(prompt);
        int from = chunk / heads() * QUERIES;
        int to = Math.min(length, from + QUERIES);
        int firstKey = spec.firstKey(from);
        int keys = to - firstKey;
        long stride = stride(keys);
        MemorySegment scores = scores(scratch, head, start, from, to);
        toPattern(scratch, scores, stride, head, start, from, to);
        for (int t = from; t < to; t++) {
            long at = 4 * (head * pattern.stride(0) + t * pattern.stride(1));
            Copies.zeroRow(pattern.segment(), at, firstKey);
            Convert.copyFloats(scores, 4 * stride * (t - from), pattern.segment(), at + 4L * firstKey, keys);
            Copies.zeroRow(pattern.segment(), at + 4L * to, length - to);
        }
    }

    // ---- VJP

    private void backwardChunk(int chunk, Scratch scratch) {
        int sharing = chunk % sharings();
        int group = chunk / sharings() % groups();
        int b = chunk / sharings() / groups();
        int first = sharing * SHARING;
        int last = Math.min(cotangents(), first + SHARING);
        int headsPerGroup = heads() / groups();
        if (shortPrompts.takes(b)) {
            int run = shortPrompts.groupsAtOnce(b);
            if (group % run == 0) {
                int end = Math.min(groups(), group + run);
                shortPrompts.backward(scratch, b, group * headsPerGroup, end * headsPerGroup, first, last);
            }
            return;
        }
        zeroKeyCotangents(b, group, first, last);
        for (int head = group * headsPerGroup; head < (group + 1) * headsPerGroup; head++) {
            for (int from = 0; from < segments.length(b); from += QUERIES) {
                backwardBlock(scratch, b, head, from, first, last);
            }
        }
    }

    private void zeroKeyCotangents(int b, int group, int first, int last) {
        for (int c = first; c < last; c++) {
            for (int t = 0; t < segments.length(b); t++) {
                long row = (long) c * segments.rows() + segments.start(b) + t;
                zeroHead(out.dv(), row, group);
                if (rule == AttentionRule.EXACT) {
                    zeroHead(out.dk(), row, group);
                }
            }
        }
    }

    private static void zeroHead(Tensor x, long row, int head) {
        Copies.zeroRow(x.segment(), 4 * (row * x.stride(0) + head * x.stride(1)), x.size(2));
    }

    private void backwardBlock(Scratch scratch, int b, int head, int from, int first, int last) {
        int start = segments.start(b);
        int to = Math.min(segments.length(b), from + QUERIES);
        int firstKey = spec.firstKey(from);
        int keys = to - firstKey;
        int group = head / (heads() / groups());
        long stride = stride(keys);
        MemorySegment scores = scores(scratch, head, start, from, to);
        MemorySegment factors = scratch.floats(Slot.FACTORS, QUERIES * stride);
        Softmax.capSlopes(scores, factors, (to - from) * (int) stride, (float) spec.scale(), (float) spec.softCap());
        toPattern(scratch, scores, stride, head, start, from, to);
        for (int c = first; c < last; c++) {
            long row = (long) c * segments.rows() + start;
            Matrix weights = scratch.a.set(scores, 0, 1, stride);
            Matrix cotangents = head(scratch.b, dz, row + from, head);
            Matrix dv = head(scratch.c, out.dv(), row + firstKey, group);
            Blocks.multiply(scratch, weights, cotangents, dv, keys, v.size(2), to - from, true);
            if (rule == AttentionRule.EXACT) {
                backwardScores(scratch, b, head, from, row, scores, factors);
            }
        }
    }

    /** dq and dk of one block for the cotangent whose prompt starts at {@code row}, given its pattern. */
    private void backwardScores(
            Scratch scratch, int b, int head, int from, long row, MemorySegment weights, MemorySegment factors) {
        int start = segments.start(b);
        int to = Math.min(segments.length(b), from + QUERIES);
        int firstKey = spec.firstKey(from);
        int keys = to - firstKey;
        int group = head / (heads() / groups());
        long stride = stride(keys);
        MemorySegment ds = scratch.floats(Slot.COTANGENTS, QUERIES * stride);
        Matrix cotangents = head(scratch.a, dz, row + from, head);
        Matrix transposedValues = headTransposed(scratch.b, v, start + firstKey, group);
        Matrix dA = scratch.c.set(ds, 0, stride, 1);
        Blocks.multiply(scratch, cotangents, transposedValues, dA, to - from, keys, v.size(2), false);
        MemorySegment lanes = scratch.floats(Slot.ROW, Lanes.N);
        for (int t = 0; t < to - from; t++) {
            Softmax.fill(ds, 4 * (stride * t + keys), (int) stride - keys, 0f);
            Softmax.vjp(weights, factors, ds, 4 * stride * t, (int) stride, lanes);
        }
        Matrix dq = head(scratch.c, out.dq(), row + from, head);
        Matrix keyRows = head(scratch.b, k, start + firstKey, group);
        int depth = q.size(2);
        Blocks.multiply(scratch, scratch.a.set(ds, 0, stride, 1), keyRows, dq, to - from, depth, keys, false);
        Matrix dk = head(scratch.c, out.dk(), row + firstKey, group);
        Matrix queries = head(scratch.b, q, start + from, head);
        Blocks.multiply(scratch, scratch.a.set(ds, 0, 1, stride), queries, dk, keys, depth, to - from, true);
    }
}

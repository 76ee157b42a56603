package obsprop.kernel.cpu;

import static obsprop.kernel.cpu.Lanes.BYTES;
import static obsprop.kernel.cpu.Lanes.F;
import static obsprop.kernel.cpu.Lanes.FLOAT;
import static obsprop.kernel.cpu.Lanes.N;
import static obsprop.kernel.cpu.Lanes.ORDER;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import obsprop.kernel.AttentionRule;
import obsprop.kernel.cpu.Scratch.Slot;
import obsprop.tensor.Tensor;

/**
 * {@link Attention} within prompts whose keys fit into one vector: a row of scores is a vector, and the small products are
 * done where the operands lie instead of packing them for tiles. Each step is taken for all heads before the next, so that
 * the processor has independent work. The prompt's length and the heads' width alone decide that it goes this way.
 */
final class ShortAttention {
    /** Multiply-adds of a product that are worth a chunk of their own. */
    private static final int WORTHWHILE = 100_000;

    private final Attention job;

    ShortAttention(Attention job) {
        this.job = job;
    }

    /** Whether prompt {@code b} goes this way. */
    boolean takes(int b) {
        return job.segments.length(b) <= N && job.q.size(2) % N == 0 && !job.spec.capped();
    }

    /** Groups of heads, of prompt {@code b}, that are worth a chunk. */
    int groupsAtOnce(int b) {
        int heads = job.q.size(1);
        int groups = job.k.size(1);
        long length = job.segments.length(b);
        return Math.clamp(WORTHWHILE / (length * length * job.q.size(2) * (heads / groups)), 1, groups);
    }

    private int group(int head) {
        return head / (job.q.size(1) / job.k.size(1));
    }

    private static long at(Tensor x, long row, int head) {
        return 4 * (row * x.stride(0) + head * x.stride(1));
    }

    // ---- forward

    /** Heads {@code first <= head < last} of prompt {@code b}. */
    void forward(Scratch scratch, int b, int first, int last) {
        int start = job.segments.start(b);
        int length = job.segments.length(b);
        int rows = (last - first) * length;
        MemorySegment scores = scratch.floats(Slot.SCORES, (long) N * (rows + 3));
        MemorySegment tops = scratch.floats(Slot.ROW, rows);
        MemorySegment sums = scratch.floats(Slot.ROW2, rows);
        rowsTimesRows(scratch, job.q, start, job.k, start, length, first, last, scores);
        mask(scores, length, last - first);
        fromTops(scores, tops, rows);
        VectorMath.exp(scores, 0, scores, 0, BYTES * rows);
        normalise(scores, tops, sums, rows, length);
        for (int head = first; head < last; head++) {
            long from = (long) BYTES * length * (head - first);
            combine(scores, from, BYTES, 4, length, job.v, start, group(head), job.z, start, head, false);
            for (int t = 0; t < length; t++) {
                long lseAt = 4 * ((start + t) * job.lse.stride(0) + head);
                Lanes.set(job.lse.segment(), lseAt, Lanes.get(tops, 4L * (length * (head - first) + t)));
            }
        }
    }

    /** Scales the scores of some heads; -infinity where masked. */
    private void mask(MemorySegment scores, int length, int heads) {
        float scale = (float) job.spec.scale();
        for (int t = 0; t < length; t++) {
            VectorMask<Float> seen = VectorMask.fromLong(F, (2L << t) - (1L << job.spec.firstKey(t)));
            for (int head = 0; head < heads; head++) {
                long at = (long) BYTES * (length * head + t);
                FloatVector s = Lanes.load(scores, at).mul(scale);
                Lanes.store(FloatVector.broadcast(F, Float.NEGATIVE_INFINITY).blend(s, seen), scores, at);
            }
        }
    }

    /** Subtracts each row's largest score, kept in {@code tops}. */
    private static void fromTops(MemorySegment scores, MemorySegment tops, int rows) {
        for (int r = 0; r < rows; r++) {
            FloatVector s = Lanes.load(scores, (long) BYTES * r);
            float top = s.reduceLanes(VectorOperators.MAX);
            Lanes.set(tops, 4L * r, top);
            Lanes.store(s.sub(top), scores, (long) BYTES * r);
        }
    }

    /** Exponentials to probabilities; {@code tops} becomes the log of the sum of exp(score). */
    private static void normalise(MemorySegment scores, MemorySegment tops, MemorySegment sums, int rows, int length) {
        for (int r = 0; r < rows; r++) {
            float sum = Lanes.sum(scores, (long) BYTES * r, length);
            Lanes.store(Lanes.load(scores, (long) BYTES * r).mul(1 / sum), scores, (long) BYTES * r);
            Lanes.set(sums, 4L * r, sum);
        }
        VectorMath.log(sums, sums, 4 * Lanes.whole(rows + N - 1));
        Copies.addRow(1f, sums, 0, tops, 0, rows);
    }

    /** {@code out[h - first][t][j] = x[t, h] . y[j, group(h)]}, a vector for each t, zero from {@code length} on. */
    private void rowsTimesRows(
            Scratch scratch, Tensor x, long xRow, Tensor y, long yRow, int length, int first, int last, MemorySegment out) {
        int depth = x.size(2);
        int firstGroup = group(first);
        int groups = group(last - 1) + 1 - firstGroup;
        MemorySegment turned = scratch.floats(Slot.PACK, (long) groups * depth * N);
        Copies.zeroRow(turned, 0, groups * depth * N);
        // Heads that lie together are turned as one.
        int run = y.stride(1) == depth ? groups * depth : depth;
        for (int column = 0; column < groups * depth; column += run) {
            for (int j = 0; j < length; j++) {
                turn(y.segment(), at(y, yRow + j, firstGroup + column / depth), turned, (long) BYTES * column + 4L * j, run);
            }
        }
        for (int head = first; head < last; head++) {
            multiply(x.segment(), at(x, xRow, head), 4 * x.stride(0), length, depth,
                    turned, (long) BYTES * depth * (group(head) - firstGroup), out, (long) BYTES * length * (head - first));
        }
    }

    /** {@code out[t] = sum_i x[t, i] turned[i]}, vectors one after the other; four rows at a time, the last one repeated. */
    private static void multiply(
            MemorySegment x, long xAt, long xRow, int rows, int depth, MemorySegment turned, long turnedAt,
            MemorySegment out, long outAt) {
        turned = Lanes.plain(turned);
        out = Lanes.plain(out);
        for (int t = 0; t < rows; t += 4) {
            long x0 = xAt + t * xRow;
            long x1 = xAt + Math.min(t + 1, rows - 1) * xRow;
            long x2 = xAt + Math.min(t + 2, rows - 1) * xRow;
            long x3 = xAt + Math.min(t + 3, rows - 1) * xRow;
            FloatVector a0 = FloatVector.zero(F);
            FloatVector a1 = a0;
            FloatVector a2 = a0;
            FloatVector a3 = a0;
            for (int i = 0; i < depth; i++) {
                FloatVector v = FloatVector.fromMemorySegment(F, turned, turnedAt + (long) BYTES * i, ORDER);
                a0 = v.fma(FloatVector.broadcast(F, Lanes.get(x, x0 + 4L * i)), a0);
                a1 = v.fma(FloatVector.broadcast(F, Lanes.get(x, x1 + 4L * i)), a1);
                a2 = v.fma(FloatVector.broadcast(F, Lanes.get(x, x2 + 4L * i)), a2);
                a3 = v.fma(FloatVector.broadcast(F, Lanes.get(x, x3 + 4L * i)), a3);
            }
            // Rows that are not there go where the next head's, or nothing, will be.
            long at = outAt + (long) BYTES * t;
            a0.intoMemorySegment(out, at, ORDER);
            a1.intoMemorySegment(out, at + BYTES, ORDER);
            a2.intoMemorySegment(out, at + 2 * BYTES, ORDER);
            a3.intoMemorySegment(out, at + 3 * BYTES, ORDER);
        }
    }

    /** Floats of a row, each to another vector. */
    private static void turn(MemorySegment from, long fromAt, MemorySegment to, long toAt, int n) {
        for (int i = 0; i < n; i++) {
            Lanes.set(to, toAt + (long) BYTES * i, Lanes.get(from, fromAt + 4L * i));
        }
    }

    // ---- VJP

    /** Heads {@code first <= head < last}, whole groups, of prompt {@code b}. */
    void backward(Scratch scratch, int b, int first, int last, int firstCotangent, int lastCotangent) {
        int start = job.segments.start(b);
        int length = job.segments.length(b);
        int heads = last - first;
        MemorySegment weights = scratch.floats(Slot.SCORES, (long) N * (heads * length + 3));
        rowsTimesRows(scratch, job.q, start, job.k, start, length, first, last, weights);
        mask(weights, length, heads);
        toPattern(weights, start, length, first, last);
        for (int c = firstCotangent; c < lastCotangent; c++) {
            long row = (long) c * job.segments.rows() + start;
            boolean exact = job.rule == AttentionRule.EXACT;
            MemorySegment ds = exact ? scoreCotangents(scratch, weights, row, start, length, first, last) : weights;
            for (int head = first; head < last; head++) {
                long at = (long) BYTES * length * (head - first);
                int group = group(head);
                // The first head of a group overwrites what the others add to.
                boolean add = head > first && group(head - 1) == group;
                combine(weights, at, 4, BYTES, length, job.dz, row, head, job.out.dv(), row, group, add);
                if (exact) {
                    combine(ds, at, BYTES, 4, length, job.k, start, group, job.out.dq(), row, head, false);
                    combine(ds, at, 4, BYTES, length, job.q, start, head, job.out.dk(), row, group, add);
                }
            }
        }
    }

    /** Scores to {@code exp(s - lse)}, divided by their sum as in {@link Softmax#expMinus}. */
    private void toPattern(MemorySegment scores, int start, int length, int first, int last) {
        int rows = (last - first) * length;
        for (int head = first; head < last; head++) {
            for (int t = 0; t < length; t++) {
                float log = Lanes.get(job.lse.segment(), 4 * ((start + t) * job.lse.stride(0) + head));
                long at = (long) BYTES * (length * (head - first) + t);
                Lanes.store(Lanes.load(scores, at).sub(log), scores, at);
            }
        }
        VectorMath.exp(scores, 0, scores, 0, BYTES * rows);
        for (int r = 0; r < rows; r++) {
            long at = (long) BYTES * r;
            Lanes.store(Lanes.load(scores, at).mul(1 / Lanes.sum(scores, at, length)), scores, at);
        }
    }

    /** {@code ds = scale * A * (dA - sum A dA)} with {@code dA[t, j] = dz[t] . v[j]}. */
    private MemorySegment scoreCotangents(
            Scratch scratch, MemorySegment weights, long row, int start, int length, int first, int last) {
        int rows = (last - first) * length;
        MemorySegment ds = scratch.floats(Slot.COTANGENTS, (long) N * (rows + 3));
        MemorySegment products = scratch.floats(Slot.FACTORS, (long) N * rows);
        rowsTimesRows(scratch, job.dz, row, job.v, start, length, first, last, ds);
        float scale = (float) job.spec.scale();
        for (int r = 0; r < rows; r++) {
            long at = (long) BYTES * r;
            Lanes.store(Lanes.load(weights, at).mul(Lanes.load(ds, at)), products, at);
        }
        for (int r = 0; r < rows; r++) {
            long at = (long) BYTES * r;
            float mean = Lanes.sum(products, at, length);
            Lanes.store(Lanes.load(ds, at).sub(mean).mul(Lanes.load(weights, at)).mul(scale), ds, at);
        }
        return ds;
    }

    // ---- products

    /** {@code y[r] (+)= sum_i factors[r, i] x[i]} for one head's rows of x and y; steps of factors count bytes. */
    private static void combine(
            MemorySegment factors, long factorsAt, long rowStep, long step, int length,
            Tensor x, long xRow, int xHead, Tensor y, long yRow, int yHead, boolean add) {
        for (int d = 0; d < y.size(2); d += N) {
            combine(factors, factorsAt, rowStep, step, length,
                    x.segment(), at(x, xRow, xHead) + 4L * d, 4 * x.stride(0),
                    y.segment(), at(y, yRow, yHead) + 4L * d, 4 * y.stride(0), add);
        }
    }

    /**
     * The same for one vector of each row: four rows at a time, the last one repeated. {@link #multiply} is this with constant steps,
     * for which C2 can drop the bounds checks.
     */
    private static void combine(
            MemorySegment factors, long factorsAt, long rowStep, long step, int length,
            MemorySegment x, long xAt, long xStep, MemorySegment y, long yAt, long yStep, boolean add) {
        factors = Lanes.plain(factors);
        x = Lanes.plain(x);
        y = Lanes.plain(y);
        for (int r = 0; r < length; r += 4) {
            int last = length - 1 - r;
            long f0 = factorsAt + r * rowStep;
            long f1 = f0 + Math.min(1, last) * rowStep;
            long f2 = f0 + Math.min(2, last) * rowStep;
            long f3 = f0 + Math.min(3, last) * rowStep;
            long y0 = yAt + r * yStep;
            long y1 = y0 + Math.min(1, last) * yStep;
            long y2 = y0 + Math.min(2, last) * yStep;
            long y3 = y0 + Math.min(3, last) * yStep;
            FloatVector a0 = FloatVector.zero(F);
            FloatVector a1 = a0;
            FloatVector a2 = a0;
            FloatVector a3 = a0;
            if (add) {
                a0 = FloatVector.fromMemorySegment(F, y, y0, ORDER);
                a1 = FloatVector.fromMemorySegment(F, y, y1, ORDER);
                a2 = FloatVector.fromMemorySegment(F, y, y2, ORDER);
                a3 = FloatVector.fromMemorySegment(F, y, y3, ORDER);
            }
            for (int i = 0; i < length; i++) {
                FloatVector v = FloatVector.fromMemorySegment(F, x, xAt + i * xStep, ORDER);
                a0 = v.fma(FloatVector.broadcast(F, factors.get(FLOAT, f0 + i * step)), a0);
                a1 = v.fma(FloatVector.broadcast(F, factors.get(FLOAT, f1 + i * step)), a1);
                a2 = v.fma(FloatVector.broadcast(F, factors.get(FLOAT, f2 + i * step)), a2);
                a3 = v.fma(FloatVector.broadcast(F, factors.get(FLOAT, f3 + i * step)), a3);
            }
            a0.intoMemorySegment(y, y0, ORDER);
            a1.intoMemorySegment(y, y1, ORDER);
            a2.intoMemorySegment(y, y2, ORDER);
            a3.intoMemorySegment(y, y3, ORDER);
        }
    }
}

package obsprop.kernel.cpu;

import static obsprop.kernel.cpu.Lanes.load;
import static obsprop.kernel.cpu.Lanes.store;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import obsprop.kernel.NormParameters.Kind;
import obsprop.kernel.NormParameters;
import obsprop.kernel.NormRule;
import obsprop.kernel.Write;
import obsprop.kernel.cpu.Scratch.Slot;
import obsprop.tensor.Tensor;

/** Normalisation and its VJP, row by row. One object serves one call at a time. */
final class Norms {
    /** Elements in a chunk of rows, some 5 microseconds of work. */
    private static final int CHUNK = 16_384;

    private final Workers.Task forward = this::forwardChunk;
    private final Workers.Task backward = this::backwardChunk;
    /** Effective gain and bias in F32, for all threads. */
    private final Scratch shared = new Scratch();

    private Tensor dy;
    private Tensor x;
    private Tensor stats;
    private Tensor out;
    private NormParameters parameters;
    private NormRule rule = NormRule.EXACT;
    private boolean add;
    private int n;
    private int rows;
    private int savedRows;
    private int rowsPerChunk;
    private MemorySegment gain = MemorySegment.NULL;
    private MemorySegment bias = MemorySegment.NULL;

    Norms(Tensor unused) {
        dy = unused;
        x = unused;
        stats = unused;
        out = unused;
        parameters = new NormParameters(Kind.RMS, 0, 0, unused, java.util.Optional.empty());
    }

    /** See {@link obsprop.kernel.Kernels#norm}. */
    void run(Workers workers, Tensor in, NormParameters with, Tensor y, Tensor statistics) {
        x = in;
        stats = statistics;
        out = y;
        prepare(with);
        launch(workers, forward);
    }

    /** See {@link obsprop.kernel.Kernels#normVjp}. */
    void runVjp(
            Workers workers, Tensor cotangent, Tensor in, Tensor statistics, NormParameters with, NormRule under, Tensor dx,
            Write write) {
        dy = cotangent;
        x = in;
        stats = statistics;
        rule = under;
        out = dx;
        add = write == Write.ACCUMULATE;
        prepare(with);
        launch(workers, backward);
    }

    private void prepare(NormParameters with) {
        parameters = with;
        n = with.width();
        rows = Copies.rows(out);
        savedRows = Copies.rows(x);
        rowsPerChunk = Math.max(1, CHUNK / Math.max(1, n));
        gain = shared.floats(Slot.ROW, n);
        bias = shared.floats(Slot.ROW2, n);
        Tensor g = with.gain();
        Convert.widen(g.segment(), 0, g.dtype(), gain, 0, n);
        if (with.gainOffset() != 0) {
            float offset = (float) with.gainOffset();
            for (int i = 0; i < n; i++) {
                Lanes.set(gain, 4L * i, Lanes.get(gain, 4L * i) + offset);
            }
        }
        if (with.bias().isPresent()) {
            Tensor b = with.bias().get();
            Convert.widen(b.segment(), 0, b.dtype(), bias, 0, n);
        } else {
            Copies.zeroRow(bias, 0, n);
        }
    }

    private void launch(Workers workers, Workers.Task task) {
        int chunks = (rows + rowsPerChunk - 1) / rowsPerChunk;
        if ((long) rows * n < 2 * CHUNK) {
            workers.runInline(task, chunks);
        } else {
            workers.run(task, chunks);
        }
    }

    private void forwardChunk(int chunk, Scratch scratch) {
        int last = Math.min(rows, (chunk + 1) * rowsPerChunk);
        MemorySegment lanes = scratch.floats(Slot.ROW2, Lanes.N);
        for (int r = chunk * rowsPerChunk; r < last; r++) {
            long xAt = Copies.rowBytes(x, r);
            boolean layer = parameters.kind() == Kind.LAYER;
            float mean = layer ? (float) (sum(x.segment(), xAt, lanes) / n) : 0f;
            double variance = sumOfSquares(x.segment(), xAt, mean, lanes) / n;
            float rstd = (float) (1 / Math.sqrt(variance + parameters.epsilon()));
            long statsAt = Copies.rowBytes(stats, r);
            Lanes.set(stats.segment(), statsAt, mean);
            Lanes.set(stats.segment(), statsAt + 4, rstd);
            apply(x.segment(), xAt, mean, rstd, out.segment(), Copies.rowBytes(out, r));
        }
    }

    private double sum(MemorySegment v, long at, MemorySegment lanes) {
        FloatVector total = FloatVector.zero(Lanes.F);
        int whole = Lanes.whole(n);
        for (int i = 0; i < whole; i += Lanes.N) {
            total = total.add(load(v, at + 4L * i));
        }
        store(total, lanes, 0);
        double sum = Lanes.sum(lanes, 0);
        for (int i = whole; i < n; i++) {
            sum += Lanes.get(v, at + 4L * i);
        }
        return sum;
    }

    private double sumOfSquares(MemorySegment v, long at, float mean, MemorySegment lanes) {
        FloatVector total = FloatVector.zero(Lanes.F);
        int whole = Lanes.whole(n);
        for (int i = 0; i < whole; i += Lanes.N) {
            FloatVector d = load(v, at + 4L * i).sub(mean);
            total = d.fma(d, total);
        }
        store(total, lanes, 0);
        double sum = Lanes.sum(lanes, 0);
        for (int i = whole; i < n; i++) {
            double d = Lanes.get(v, at + 4L * i) - mean;
            sum += d * d;
        }
        return sum;
    }

    private void apply(MemorySegment v, long at, float mean, float rstd, MemorySegment y, long yAt) {
        int whole = Lanes.whole(n);
        for (int i = 0; i < whole; i += Lanes.N) {
            long o = 4L * i;
            FloatVector unit = load(v, at + o).sub(mean).mul(rstd);
            store(unit.fma(load(gain, o), load(bias, o)), y, yAt + o);
        }
        for (int i = whole; i < n; i++) {
            long o = 4L * i;
            float unit = (Lanes.get(v, at + o) - mean) * rstd;
            Lanes.set(y, yAt + o, Math.fma(unit, Lanes.get(gain, o), Lanes.get(bias, o)));
        }
    }

    private void backwardChunk(int chunk, Scratch scratch) {
        int last = Math.min(rows, (chunk + 1) * rowsPerChunk);
        for (int r = chunk * rowsPerChunk; r < last; r++) {
            backwardRow(r, scratch.floats(Slot.ROW, n), scratch.floats(Slot.ROW2, Lanes.N));
        }
    }

    /**
     * Every rule is {@code a g dy + b (x - mean) + d}; the product g dy goes to {@code gdy} first, as dx may be dy.
     */
    private void backwardRow(int r, MemorySegment gdy, MemorySegment lanes) {
        int saved = r % savedRows;
        long xAt = Copies.rowBytes(x, saved);
        long statsAt = Copies.rowBytes(stats, saved);
        boolean layer = parameters.kind() == Kind.LAYER;
        float mean = Lanes.get(stats.segment(), statsAt);
        float rstd = Lanes.get(stats.segment(), statsAt + 4);
        Convert.copyFloats(dy.segment(), Copies.rowBytes(dy, r), gdy, 0, n);
        if (rule != NormRule.NONE) {
            Copies.multiplyRow(gain, 0, gdy, 0, n);
        }
        double centre = layer && (rule == NormRule.EXACT || rule == NormRule.FROZEN) ? sum(gdy, 0, lanes) / n : 0;
        float a = switch (rule) {
            case EXACT, FROZEN -> rstd;
            case PAPER -> (float) Math.sqrt(n / sumOfSquares(x.segment(), xAt, 0, lanes));
            case WEIGHT_ONLY, NONE -> 1f;
        };
        if (rule == NormRule.EXACT) {
            double along = product(gdy, xAt, mean, lanes) * rstd * rstd / n;
            subtract(gdy, xAt, mean, (float) along);
        }
        write(gdy, (float) centre, a, out.segment(), Copies.rowBytes(out, r));
    }

    /** {@code sum gdy (x - mean)}. */
    private double product(MemorySegment gdy, long xAt, float mean, MemorySegment lanes) {
        FloatVector total = FloatVector.zero(Lanes.F);
        int whole = Lanes.whole(n);
        for (int i = 0; i < whole; i += Lanes.N) {
            total = load(x.segment(), xAt + 4L * i).sub(mean).fma(load(gdy, 4L * i), total);
        }
        store(total, lanes, 0);
        double sum = Lanes.sum(lanes, 0);
        for (int i = whole; i < n; i++) {
            sum += (double) (Lanes.get(x.segment(), xAt + 4L * i) - mean) * Lanes.get(gdy, 4L * i);
        }
        return sum;
    }

    /** {@code gdy -= along (x - mean)}. */
    private void subtract(MemorySegment gdy, long xAt, float mean, float along) {
        int whole = Lanes.whole(n);
        FloatVector factor = FloatVector.broadcast(Lanes.F, -along);
        for (int i = 0; i < whole; i += Lanes.N) {
            long o = 4L * i;
            store(load(x.segment(), xAt + o).sub(mean).fma(factor, load(gdy, o)), gdy, o);
        }
        for (int i = whole; i < n; i++) {
            long o = 4L * i;
            Lanes.set(gdy, o, Math.fma(Lanes.get(x.segment(), xAt + o) - mean, -along, Lanes.get(gdy, o)));
        }
    }

    /** {@code to (+)= a (gdy - centre)}. */
    private void write(MemorySegment gdy, float centre, float a, MemorySegment to, long at) {
        int whole = Lanes.whole(n);
        for (int i = 0; i < whole; i += Lanes.N) {
            FloatVector v = load(gdy, 4L * i).sub(centre).mul(a);
            store(v, gdy, 4L * i);
        }
        for (int i = whole; i < n; i++) {
            Lanes.set(gdy, 4L * i, (Lanes.get(gdy, 4L * i) - centre) * a);
        }
        if (add) {
            Copies.addRow(1f, gdy, 0, to, at, n);
        } else {
            Convert.copyFloats(gdy, 0, to, at, n);
        }
    }
}

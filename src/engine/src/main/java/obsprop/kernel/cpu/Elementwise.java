package obsprop.kernel.cpu;

import java.lang.foreign.MemorySegment;
import obsprop.kernel.Activation;
import obsprop.kernel.cpu.Scratch.Slot;
import obsprop.tensor.Tensor;

/**
 * Activation functions and their VJPs over rows, in strips that stay in L1: f or f' of a strip goes to scratch, then the
 * factors are multiplied on. One object serves one call at a time.
 */
final class Elementwise {
    /** Floats of a strip. */
    private static final int STRIP = 1024;
    /** Elements in a chunk of rows, about 10 microseconds of work. */
    private static final int CHUNK = 16_384;

    private enum Operation {
        VALUE,
        VJP,
        GATED,
        GATED_VJP,
        SOFT_CAP
    }

    private final Workers.Task task = this::chunk;
    private Operation operation = Operation.VALUE;
    private Activation f = Activation.IDENTITY;
    private float cap;
    private Tensor dy;
    private Tensor x;
    private Tensor up;
    private Tensor out;
    private Tensor dUp;
    private int rows;
    private int n;
    private int rowsPerChunk;

    Elementwise(Tensor unused) {
        dy = unused;
        x = unused;
        up = unused;
        out = unused;
        dUp = unused;
    }

    void activation(Workers workers, Activation function, Tensor in, Tensor y) {
        operation = Operation.VALUE;
        f = function;
        x = in;
        out = y;
        launch(workers);
    }

    void activationVjp(Workers workers, Activation function, Tensor cotangent, Tensor in, Tensor dx) {
        operation = Operation.VJP;
        f = function;
        dy = cotangent;
        x = in;
        out = dx;
        launch(workers);
    }

    void gated(Workers workers, Activation function, Tensor gate, Tensor linear, Tensor y) {
        operation = Operation.GATED;
        f = function;
        x = gate;
        up = linear;
        out = y;
        launch(workers);
    }

    void gatedVjp(
            Workers workers, Activation function, Tensor cotangent, Tensor gate, Tensor linear, Tensor dGate,
            Tensor dLinear) {
        operation = Operation.GATED_VJP;
        f = function;
        dy = cotangent;
        x = gate;
        up = linear;
        out = dGate;
        dUp = dLinear;
        launch(workers);
    }

    void softCap(Workers workers, double limit, Tensor inPlace) {
        operation = Operation.SOFT_CAP;
        cap = (float) limit;
        x = inPlace;
        out = inPlace;
        launch(workers);
    }

    private void launch(Workers workers) {
        rows = out.size(0);
        n = out.size(1);
        if (rows == 0 || n == 0) {
            return;
        }
        if ((long) rows * n < 2 * CHUNK && x.size(0) == rows && allContiguous()) {
            // One long row: full strips.
            n *= rows;
            rows = 1;
        }
        rowsPerChunk = Math.max(1, CHUNK / n);
        int chunks = (rows + rowsPerChunk - 1) / rowsPerChunk;
        if ((long) rows * n < 2 * CHUNK) {
            workers.runInline(task, chunks);
        } else {
            workers.run(task, chunks);
        }
    }

    private boolean allContiguous() {
        boolean gated = operation == Operation.GATED || operation == Operation.GATED_VJP;
        boolean vjp = operation == Operation.VJP || operation == Operation.GATED_VJP;
        return x.isContiguous() && out.isContiguous() && !(vjp && !dy.isContiguous()) && !(gated && !up.isContiguous())
                && !(operation == Operation.GATED_VJP && !dUp.isContiguous());
    }

    private void chunk(int chunk, Scratch scratch) {
        int first = chunk * rowsPerChunk;
        int last = Math.min(rows, first + rowsPerChunk);
        for (int r = first; r < last; r++) {
            for (int from = 0; from < n; from += STRIP) {
                strip(scratch, r, from, Math.min(STRIP, n - from));
            }
        }
    }

    private static long at(Tensor t, int row, int col) {
        return 4 * (row * t.stride(0) + col);
    }

    private void strip(Scratch scratch, int r, int from, int count) {
        MemorySegment work = scratch.floats(Slot.ROW, STRIP);
        MemorySegment work2 = scratch.floats(Slot.ROW2, STRIP);
        int bytes = 4 * Lanes.whole(count + Lanes.N - 1);
        int saved = r % x.size(0);
        long outAt = at(out, r, from);
        Convert.copyFloats(x.segment(), at(x, saved, from), work, 0, count);
        switch (operation) {
            case VALUE -> Activations.value(f, work, work, scratch, bytes);
            case SOFT_CAP -> Activations.softCap(cap, work, work, scratch, bytes);
            case VJP -> {
                Activations.slope(f, work, work, scratch, bytes);
                Copies.multiplyRow(dy.segment(), at(dy, r, from), work, 0, count);
            }
            case GATED -> {
                Activations.value(f, work, work, scratch, bytes);
                Copies.multiplyRow(up.segment(), at(up, r, from), work, 0, count);
            }
            case GATED_VJP -> {
                Activations.value(f, work, work2, scratch, bytes);
                Activations.slope(f, work, work, scratch, bytes);
                Copies.multiplyRow(up.segment(), at(up, saved, from), work, 0, count);
                Copies.multiplyRow(dy.segment(), at(dy, r, from), work, 0, count);
                Copies.multiplyRow(dy.segment(), at(dy, r, from), work2, 0, count);
                Convert.copyFloats(work2, 0, dUp.segment(), at(dUp, r, from), count);
            }
        }
        Convert.copyFloats(work, 0, out.segment(), outAt, count);
    }
}

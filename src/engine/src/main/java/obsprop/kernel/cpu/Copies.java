package obsprop.kernel.cpu;

import static obsprop.kernel.cpu.Lanes.F;
import static obsprop.kernel.cpu.Lanes.ORDER;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import obsprop.kernel.Write;
import obsprop.kernel.cpu.Scratch.Slot;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;

/**
 * Operations that move or add whole rows. Row r of a tensor counts all leading axes together, row-major. Loops here call the Vector API itself:
 * of one start in five C2 had left {@link Lanes#load} in a row's sum boxed, for ever.
 */
final class Copies {
    /**
     * Elements of a gather that is done one by one, in a microsecond: at a program's start vectors take a hundredth of a
     * second, and a command on a small model may need none.
     */
    private static final int FEW = 1024;

    private Copies() {}

    /** Number of rows: the product of all axes but the last. */
    static int rows(Tensor x) {
        int product = 1;
        for (int axis = 0; axis < x.rank() - 1; axis++) {
            product *= x.size(axis);
        }
        return product;
    }

    static int width(Tensor x) {
        return x.size(x.rank() - 1);
    }

    /** Offset in bytes of row {@code r}. */
    static long rowBytes(Tensor x, int r) {
        long offset = 0;
        int rest = r;
        for (int axis = x.rank() - 2; axis > 0; axis--) {
            int size = x.size(axis);
            int outer = rest / size;
            offset += (rest - outer * size) * x.stride(axis);
            rest = outer;
        }
        if (x.rank() > 1) {
            offset += rest * x.stride(0);
        }
        return offset * x.dtype().bytes();
    }

    /** See {@link obsprop.kernel.Kernels#copy}. */
    static void copy(Tensor from, Tensor to, Scratch scratch) {
        int rows = rows(from);
        int n = width(from);
        boolean exact = from.dtype() == DType.F64 || to.dtype() == DType.F64;
        for (int r = 0; r < rows; r++) {
            long source = rowBytes(from, r);
            long target = rowBytes(to, r);
            if (from.dtype() == to.dtype()) {
                MemorySegment.copy(from.segment(), source, to.segment(), target, (long) n * to.dtype().bytes());
            } else if (exact) {
                copyWide(from, source / from.dtype().bytes(), to, target / to.dtype().bytes(), n);
            } else if (to.dtype() == DType.F32) {
                Convert.widen(from.segment(), source, from.dtype(), to.segment(), target, n);
            } else {
                MemorySegment row = scratch.floats(Slot.ROW, n);
                Convert.widen(from.segment(), source, from.dtype(), row, 0, n);
                Convert.narrow(row, 0, to.segment(), target, to.dtype(), n);
            }
        }
    }

    private static void copyWide(Tensor from, long source, Tensor to, long target, int n) {
        for (int i = 0; i < n; i++) {
            to.write(target + i, from.read(source + i));
        }
    }

    static void zero(Tensor x) {
        int rows = rows(x);
        long bytes = (long) width(x) * x.dtype().bytes();
        for (int r = 0; r < rows; r++) {
            zeroBytes(x.segment(), rowBytes(x, r), bytes);
        }
    }

    private static void zeroBytes(MemorySegment segment, long at, long bytes) {
        long i = 0;
        for (; i + 4 <= bytes; i += 4) {
            Lanes.set(segment, at + i, 0);
        }
        for (; i < bytes; i++) {
            segment.set(java.lang.foreign.ValueLayout.JAVA_BYTE, at + i, (byte) 0);
        }
    }

    static void zeroRow(MemorySegment segment, long at, int n) {
        segment = Lanes.plain(segment);
        FloatVector zero = FloatVector.zero(F);
        int whole = Lanes.whole(n);
        for (int i = 0; i < whole; i += Lanes.N) {
            zero.intoMemorySegment(segment, at + 4L * i, ORDER);
        }
        for (int i = whole; i < n; i++) {
            Lanes.set(segment, at + 4L * i, 0);
        }
    }

    /** Each of n floats {@code times} times side by side, a multiple of {@link Lanes#N}. */
    static void repeat(MemorySegment x, int n, int times, MemorySegment y, long yAt) {
        x = Lanes.plain(x);
        y = Lanes.plain(y);
        int vectors = times / Lanes.N;
        for (int i = 0; i < n * vectors; i++) {
            FloatVector.broadcast(F, Lanes.get(x, 4L * (i / vectors))).intoMemorySegment(y, yAt + (long) Lanes.BYTES * i, ORDER);
        }
    }

    /** {@code y = x} for n floats, so few that a call to copy memory would cost more. */
    static void copyRow(MemorySegment x, long xAt, MemorySegment y, long yAt, int n) {
        x = Lanes.plain(x);
        y = Lanes.plain(y);
        int whole = Lanes.whole(n);
        for (int i = 0; i < whole; i += Lanes.N) {
            FloatVector.fromMemorySegment(F, x, xAt + 4L * i, ORDER).intoMemorySegment(y, yAt + 4L * i, ORDER);
        }
        for (int i = whole; i < n; i++) {
            Lanes.set(y, yAt + 4L * i, Lanes.get(x, xAt + 4L * i));
        }
    }

    /** {@code y += alpha * x} for n floats. */
    static void addRow(float alpha, MemorySegment x, long xAt, MemorySegment y, long yAt, int n) {
        x = Lanes.plain(x);
        y = Lanes.plain(y);
        FloatVector factor = FloatVector.broadcast(F, alpha);
        int whole = Lanes.whole(n);
        for (int i = 0; i < whole; i += Lanes.N) {
            long at = 4L * i;
            FloatVector before = FloatVector.fromMemorySegment(F, y, yAt + at, ORDER);
            FloatVector.fromMemorySegment(F, x, xAt + at, ORDER).fma(factor, before).intoMemorySegment(y, yAt + at, ORDER);
        }
        for (int i = whole; i < n; i++) {
            long at = 4L * i;
            Lanes.set(y, yAt + at, Math.fma(alpha, Lanes.get(x, xAt + at), Lanes.get(y, yAt + at)));
        }
    }

    /** {@code y = alpha * x} for n floats. */
    static void scaleRow(float alpha, MemorySegment x, long xAt, MemorySegment y, long yAt, int n) {
        x = Lanes.plain(x);
        y = Lanes.plain(y);
        FloatVector factor = FloatVector.broadcast(F, alpha);
        int whole = Lanes.whole(n);
        for (int i = 0; i < whole; i += Lanes.N) {
            FloatVector.fromMemorySegment(F, x, xAt + 4L * i, ORDER).mul(factor).intoMemorySegment(y, yAt + 4L * i, ORDER);
        }
        for (int i = whole; i < n; i++) {
            Lanes.set(y, yAt + 4L * i, alpha * Lanes.get(x, xAt + 4L * i));
        }
    }

    /** {@code y *= x} for n floats. */
    static void multiplyRow(MemorySegment x, long xAt, MemorySegment y, long yAt, int n) {
        x = Lanes.plain(x);
        y = Lanes.plain(y);
        int whole = Lanes.whole(n);
        for (int i = 0; i < whole; i += Lanes.N) {
            FloatVector before = FloatVector.fromMemorySegment(F, y, yAt + 4L * i, ORDER);
            FloatVector.fromMemorySegment(F, x, xAt + 4L * i, ORDER).mul(before).intoMemorySegment(y, yAt + 4L * i, ORDER);
        }
        for (int i = whole; i < n; i++) {
            Lanes.set(y, yAt + 4L * i, Lanes.get(x, xAt + 4L * i) * Lanes.get(y, yAt + 4L * i));
        }
    }

    /** See {@link obsprop.kernel.Kernels#addScaled}. */
    static void addScaled(float alpha, Tensor x, Tensor y) {
        int rows = rows(y);
        int n = width(y);
        for (int r = 0; r < rows; r++) {
            addRow(alpha, x.segment(), rowBytes(x, r), y.segment(), rowBytes(y, r), n);
        }
    }

    /** See {@link obsprop.kernel.Kernels#broadcast}. */
    static void broadcast(Tensor row, Tensor y, Write write, Scratch scratch) {
        int n = width(y);
        MemorySegment wide = scratch.floats(Slot.ROW, n);
        Convert.widen(row.segment(), 0, row.dtype(), wide, 0, n);
        for (int r = 0; r < y.size(0); r++) {
            write(1f, wide, 0, y, rowBytes(y, r), n, write);
        }
    }

    /** See {@link obsprop.kernel.Kernels#gather}. */
    static void gather(Tensor table, int[] ids, float scale, Tensor y, Write write, Scratch scratch) {
        int n = width(y);
        if (ids.length * (long) n <= FEW) {
            gatherFew(table, ids, scale, y, write);
            return;
        }
        MemorySegment wide = scratch.floats(Slot.ROW, n);
        for (int r = 0; r < ids.length; r++) {
            Convert.widen(table.segment(), rowBytes(table, ids[r]), table.dtype(), wide, 0, n);
            write(scale, wide, 0, y, rowBytes(y, r), n, write);
        }
    }

    private static void gatherFew(Tensor table, int[] ids, float scale, Tensor y, Write write) {
        int n = width(y);
        for (int r = 0; r < ids.length; r++) {
            long source = rowBytes(table, ids[r]) / table.dtype().bytes();
            long target = rowBytes(y, r) / y.dtype().bytes();
            for (int i = 0; i < n; i++) {
                float x = (float) table.read(source + i);
                y.write(target + i, write == Write.ACCUMULATE ? Math.fma(scale, x, (float) y.read(target + i)) : scale * x);
            }
        }
    }

    private static void write(float scale, MemorySegment x, long xAt, Tensor y, long yAt, int n, Write write) {
        if (write == Write.ACCUMULATE) {
            addRow(scale, x, xAt, y.segment(), yAt, n);
        } else {
            scaleRow(scale, x, xAt, y.segment(), yAt, n);
        }
    }
}

package obsprop.kernel.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import obsprop.tensor.Tensor;

/** Copies between host tensors, where the device cannot. */
final class HostCopy {
    private HostCopy() {}

    /** {@code x} itself or, where its rows lie apart, a contiguous copy. */
    static Tensor packed(Arena arena, Tensor x) {
        if (x.isContiguous()) {
            return x;
        }
        Tensor out = Tensor.allocate(arena, x.dtype(), x.shape());
        copy(x, out);
        return out;
    }

    /** Element by element between views of one shape, converting. */
    static void copy(Tensor from, Tensor to) {
        int n = from.rank() == 0 ? 1 : from.size(from.rank() - 1);
        long rows = n == 0 ? 0 : from.elements() / n;
        for (long r = 0; r < rows; r++) {
            long source = offset(from, r);
            long target = offset(to, r);
            if (from.dtype() == to.dtype()) {
                int bytes = from.dtype().bytes();
                MemorySegment.copy(from.segment(), source * bytes, to.segment(), target * bytes, (long) n * bytes);
            } else {
                for (int c = 0; c < n; c++) {
                    to.write(target + c, from.read(source + c));
                }
            }
        }
    }

    /** The offset, in elements, of the row-th row along the last axis. */
    private static long offset(Tensor x, long row) {
        long offset = 0;
        long rest = row;
        for (int axis = x.rank() - 2; axis >= 0; axis--) {
            offset += rest % x.size(axis) * x.stride(axis);
            rest /= x.size(axis);
        }
        return offset;
    }
}

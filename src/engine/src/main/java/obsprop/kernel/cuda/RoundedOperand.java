package obsprop.kernel.cuda;

import java.lang.foreign.MemorySegment;
import java.util.Optional;
import obsprop.cuda.CudaDevice;
import obsprop.cuda.CudaPrecision;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;

/**
 * The bfloat16 form of one matrix of activations: of the left operand of the product before, or of what a kernel has just written.
 * Products of bfloat16 take it instead of rounding the same matrix themselves, in a pass of their own. Any kernel that is launched
 * in between makes it forgotten, since it may write the matrix; whoever writes without a kernel says so ({@link #written}).
 */
final class RoundedOperand implements AutoCloseable {
    private final Launcher launcher;
    private final Transfers transfers;
    private final boolean needed;
    private final Scratch scratch;
    private Optional<Matrix> source = Optional.empty();
    private long launches;

    RoundedOperand(CudaDevice device, CudaPrecision precision, Launcher launcher, Transfers transfers) {
        this.launcher = launcher;
        this.transfers = transfers;
        needed = precision == CudaPrecision.BF16;
        scratch = new Scratch(device);
    }

    /** Rows of activations, wherever they lie; heads side by side are one row. */
    private record Matrix(long address, int rows, int columns, long stride) {
        /** Empty if the rows of x are not what a product takes. */
        static Optional<Matrix> of(Tensor x) {
            boolean isMatrix = x.dtype() == DType.F32 && (x.rank() == 2 || x.rank() == 3 && x.stride(1) == x.size(2));
            int columns = isMatrix ? Math.toIntExact(x.size(1) * (x.rank() == 3 ? (long) x.size(2) : 1)) : 0;
            return columns > 0 && x.size(0) > 0 && x.stride(0) >= columns
                    ? Optional.of(new Matrix(x.segment().address(), x.size(0), columns, x.stride(0)))
                    : Optional.empty();
        }

        long end() {
            return address + ((rows - 1) * stride + columns) * DType.F32.bytes();
        }
    }

    /**
     * Where the kernel that is being prepared for launch is to write x in bfloat16, too, rows without gaps; NULL where no
     * product would take it.
     */
    MemorySegment beside(Tensor x) {
        source = needed ? Matrix.of(x) : Optional.empty();
        launches = launcher.launches();
        return source.isPresent() ? scratch.bytes(x.elements() * DType.BF16.bytes()) : MemorySegment.NULL;
    }

    /** x in bfloat16, until the next call of any method here: as it was written, or rounded now. */
    Tensor of(Tensor x) {
        Optional<Matrix> wanted = Matrix.of(x);
        boolean known = wanted.isPresent() && wanted.equals(source) && launches == launcher.launches();
        Tensor rounded = scratch.take(DType.BF16, x.shape());
        if (!known) {
            transfers.copy(x, rounded);
            source = wanted;
            launches = launcher.launches();
        }
        return rounded;
    }

    /** Something else than a kernel has written x. */
    void written(Tensor x) {
        source = source.filter(matrix -> x.segment().address() >= matrix.end()
                || x.segment().address() + x.segment().byteSize() <= matrix.address);
    }

    /** What is queued next may run again later, when all else has changed. */
    void forget() {
        source = Optional.empty();
    }

    @Override
    public void close() {
        scratch.close();
    }
}

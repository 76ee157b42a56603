package obsprop.kernel.cuda;

import java.lang.foreign.MemorySegment;
import obsprop.cuda.Cublas;
import obsprop.cuda.CudaDevice;
import obsprop.cuda.CudaPrecision;
import obsprop.kernel.Transpose;
import obsprop.kernel.Write;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;

/** Matrix products by cuBLAS; operands of another type than the precision asks for are converted into scratch first. */
final class Products implements AutoCloseable {
    private final CudaDevice device;
    private final CudaPrecision precision;
    private final Transfers transfers;
    private final Scratch left;
    private final Scratch right;

    Products(CudaDevice device, CudaPrecision precision, Transfers transfers) {
        this.device = device;
        this.precision = precision;
        this.transfers = transfers;
        left = new Scratch(device);
        right = new Scratch(device);
    }

    void gemm(Tensor a, Transpose transA, Tensor b, Transpose transB, Tensor c, Write write) {
        int k = a.size(transA == Transpose.NO ? 1 : 0);
        Cublas.Size size = new Cublas.Size(c.size(0), c.size(1), k);
        if (c.elements() == 0) {
            return;
        }
        if (k == 0) {
            if (write == Write.OVERWRITE) {
                transfers.zero(c);
            }
            return;
        }
        device.cublas().gemm(precision, size, operand(a, transA, left), operand(b, transB, right), matrix(c, false),
                write == Write.ACCUMULATE);
    }

    private Cublas.Operand operand(Tensor x, Transpose transpose, Scratch scratch) {
        DType needed = precision == CudaPrecision.BF16 ? DType.BF16 : DType.F32;
        Tensor converted = x;
        if (x.dtype() != needed || (x.size(0) > 1 && x.stride(0) < x.size(1))) {
            converted = scratch.take(needed, x.shape());
            transfers.copy(x, converted);
        }
        return matrix(converted, transpose == Transpose.YES);
    }

    /** The stride of a single row means nothing, but cuBLAS wants at least its length. */
    private static Cublas.Operand matrix(Tensor x, boolean transposed) {
        MemorySegment data = Launcher.address(x);
        return new Cublas.Operand(data, x.size(0) == 1 ? x.size(1) : x.stride(0), transposed);
    }

    @Override
    public void close() {
        left.close();
        right.close();
    }
}

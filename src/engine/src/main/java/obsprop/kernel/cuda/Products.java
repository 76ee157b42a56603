package obsprop.kernel.cuda;

import java.lang.foreign.MemorySegment;
import java.util.Optional;
import obsprop.cuda.Cublas;
import obsprop.cuda.CublasLt;
import obsprop.cuda.CudaDevice;
import obsprop.cuda.CudaPrecision;
import obsprop.kernel.Transpose;
import obsprop.kernel.Write;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;

/** Matrix products by cuBLAS; operands of another type than the precision asks for are converted into scratch first. */
final class Products implements AutoCloseable {
    private static final int VECTOR_ALIGNMENT = 16;

    private final CudaDevice device;
    private final CudaPrecision precision;
    private final Transfers transfers;
    private final WeightTwins twins;
    private final RoundedOperand rounded;
    private final Scratch left;
    private final Scratch right;
    private final Scratch row;

    Products(CudaDevice device, CudaPrecision precision, Transfers transfers, WeightTwins twins, RoundedOperand rounded) {
        this.device = device;
        this.precision = precision;
        this.transfers = transfers;
        this.twins = twins;
        this.rounded = rounded;
        left = new Scratch(device);
        right = new Scratch(device);
        row = new Scratch(device);
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
        device.cublas().gemm(precision, size, left(a, transA), weight(b, transB), matrix(c, false),
                write == Write.ACCUMULATE);
        rounded.written(c);
    }

    /**
     * {@code y (+)= x op(weight) + bias} in one pass.
     *
     * @return false, nothing being done, where cublasLt cannot
     */
    boolean linear(Tensor x, Tensor weight, Transpose transpose, Tensor bias, Tensor y, Write write) {
        MemorySegment added = vector(bias);
        Cublas.Size size = new Cublas.Size(y.size(0), y.size(1), x.size(1));
        boolean done = y.elements() > 0 && x.size(1) > 0
                && device.cublasLt().multiply(
                        new CublasLt.Product(precision, size, left(x, Transpose.NO), weight(weight, transpose),
                                matrix(y, false), write == Write.ACCUMULATE),
                        added);
        if (done) {
            rounded.written(y);
        }
        return done;
    }

    /** The elements of a bias as cublasLt takes them: of fp32, and aligned. */
    private MemorySegment vector(Tensor bias) {
        MemorySegment data = Launcher.address(bias);
        if (bias.dtype() == DType.F32 && data.address() % VECTOR_ALIGNMENT == 0) {
            return data;
        }
        Optional<MemorySegment> twin = bias.dtype() == DType.F32 ? Optional.empty() : twins.find(bias);
        if (twin.isPresent() && twin.get().address() % VECTOR_ALIGNMENT == 0) {
            return twin.get();
        }
        Tensor converted = row.take(DType.F32, bias.shape());
        transfers.copy(bias, converted);
        return converted.segment();
    }

    private Cublas.Operand left(Tensor x, Transpose transpose) {
        return precision == CudaPrecision.BF16 && x.dtype() == DType.F32
                ? matrix(rounded.of(x), transpose == Transpose.YES)
                : operand(x, transpose, left);
    }

    private Cublas.Operand weight(Tensor x, Transpose transpose) {
        Optional<MemorySegment> twin =
                precision == CudaPrecision.BF16 && x.dtype() == DType.F32 && !overlaps(x) ? twins.find(x) : Optional.empty();
        return twin.map(memory -> new Cublas.Operand(memory, rowStride(x), transpose == Transpose.YES))
                .orElseGet(() -> operand(x, transpose, right));
    }

    /** Whether rows begin before the one above has ended, which cuBLAS does not take. */
    private static boolean overlaps(Tensor x) {
        return x.size(0) > 1 && x.stride(0) < x.size(1);
    }

    private Cublas.Operand operand(Tensor x, Transpose transpose, Scratch scratch) {
        DType needed = precision == CudaPrecision.BF16 ? DType.BF16 : DType.F32;
        Tensor converted = x;
        if (x.dtype() != needed || overlaps(x)) {
            converted = scratch.take(needed, x.shape());
            transfers.copy(x, converted);
        }
        return matrix(converted, transpose == Transpose.YES);
    }

    private static Cublas.Operand matrix(Tensor x, boolean transposed) {
        return new Cublas.Operand(Launcher.address(x), rowStride(x), transposed);
    }

    /** The stride of a single row means nothing, but cuBLAS wants at least its length. */
    private static long rowStride(Tensor x) {
        return x.size(0) == 1 ? x.size(1) : x.stride(0);
    }

    @Override
    public void close() {
        left.close();
        right.close();
        row.close();
    }
}

package obsprop.cuda;

import static obsprop.cuda.binding.cublas_h.CUBLAS_COMPUTE_32F;
import static obsprop.cuda.binding.cublas_h.CUBLAS_COMPUTE_32F_FAST_TF32;
import static obsprop.cuda.binding.cublas_h.CUBLAS_GEMM_DEFAULT;
import static obsprop.cuda.binding.cublas_h.CUBLAS_OP_N;
import static obsprop.cuda.binding.cublas_h.CUBLAS_OP_T;
import static obsprop.cuda.binding.cublas_h.CUDA_R_16BF;
import static obsprop.cuda.binding.cublas_h.CUDA_R_32F;
import static obsprop.cuda.binding.cublas_h.cublasCreate_v2;
import static obsprop.cuda.binding.cublas_h.cublasDestroy_v2;
import static obsprop.cuda.binding.cublas_h.cublasGemmEx;
import static obsprop.cuda.binding.cublas_h.cublasGemmStridedBatchedEx;
import static obsprop.cuda.binding.cublas_h.cublasGetVersion_v2;
import static obsprop.cuda.binding.cublas_h.cublasSetStream_v2;
import static obsprop.cuda.binding.cublas_h.cublasSetWorkspace_v2;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Matrix products by cuBLAS, on the device's stream, for row-major matrices. */
public final class Cublas {
    private final CudaDevice device;
    private final MemorySegment handle;
    private final MemorySegment zero;
    private final MemorySegment one;
    private final int version;

    private Cublas(CudaDevice device, Arena arena, MemorySegment handle) {
        this.device = device;
        this.handle = handle;
        zero = arena.allocateFrom(ValueLayout.JAVA_FLOAT, 0f);
        one = arena.allocateFrom(ValueLayout.JAVA_FLOAT, 1f);
        MemorySegment out = arena.allocate(ValueLayout.JAVA_INT);
        Status.cublas(cublasGetVersion_v2(handle, out), "asking cuBLAS for its version");
        version = out.get(ValueLayout.JAVA_INT, 0);
    }

    static Cublas create(CudaDevice device, Arena arena) {
        MemorySegment out = arena.allocate(ValueLayout.ADDRESS);
        Status.cublas(cublasCreate_v2(out), "starting cuBLAS");
        MemorySegment handle = out.get(ValueLayout.ADDRESS, 0);
        try {
            Status.cublas(cublasSetStream_v2(handle, device.stream().handle()), "giving cuBLAS its stream");
            return new Cublas(device, arena, handle);
        } catch (CudaException e) {
            cublasDestroy_v2(handle);
            throw e;
        }
    }

    /** Gives it memory to work in, so that it never allocates any, which a graph would have to record. */
    void use(MemorySegment workspace) {
        Status.cublas(cublasSetWorkspace_v2(handle, workspace, workspace.byteSize()), "giving cuBLAS its workspace");
    }

    void destroy() {
        cublasDestroy_v2(handle);
    }

    /** 10000 * major + 100 * minor + patch. */
    public int version() {
        return version;
    }

    /**
     * A row-major matrix in device memory.
     *
     * @param data its first element
     * @param rowStride elements from row to row
     * @param transposed whether the product takes its transpose
     */
    public record Operand(MemorySegment data, long rowStride, boolean transposed) {}

    /** {@code m x n} is the result, {@code k} the summed dimension; all positive. */
    public record Size(int m, int n, int k) {}

    /**
     * A batch of products of one size.
     *
     * @param count how many, positive
     * @param strideA elements from one left operand to the next; 0 where all share one
     * @param strideB elements from one right operand to the next; 0 where all share one
     * @param strideC elements from one result to the next
     */
    public record Batch(int count, long strideA, long strideB, long strideC) {}

    /**
     * {@code c[m,n] = op(a)[m,k] op(b)[k,n] (+ c)}.
     *
     * @param precision BF16 takes a and b as bfloat16, the others take fp32
     * @param c fp32, not transposed
     * @param accumulate whether c is added to
     */
    public void gemm(CudaPrecision precision, Size size, Operand a, Operand b, Operand c, boolean accumulate) {
        int type = type(precision);
        device.makeCurrent();
        device.workspace();
        // cuBLAS is column-major: what it sees of our matrices are the transposes, so it is asked for c^T = b^T a^T.
        int code = cublasGemmEx(handle, operation(b), operation(a), size.n, size.m, size.k,
                one, b.data, type, leading(b), a.data, type, leading(a),
                accumulate ? one : zero, c.data, CUDA_R_32F(), leading(c), compute(precision), CUBLAS_GEMM_DEFAULT());
        Status.cublas(code, "multiplying " + size.m + "x" + size.k + " by " + size.k + "x" + size.n);
    }

    /** {@link #gemm} for {@code batch.count} products, whose first operands are given. */
    public void gemmBatched(
            CudaPrecision precision, Size size, Operand a, Operand b, Operand c, Batch batch, boolean accumulate) {
        int type = type(precision);
        device.makeCurrent();
        device.workspace();
        int code = cublasGemmStridedBatchedEx(handle, operation(b), operation(a), size.n, size.m, size.k,
                one, b.data, type, leading(b), batch.strideB, a.data, type, leading(a), batch.strideA,
                accumulate ? one : zero, c.data, CUDA_R_32F(), leading(c), batch.strideC, batch.count,
                compute(precision), CUBLAS_GEMM_DEFAULT());
        Status.cublas(code, "multiplying " + batch.count + " times " + size.m + "x" + size.k + " by " + size.k + "x" + size.n);
    }

    static int type(CudaPrecision precision) {
        return precision == CudaPrecision.BF16 ? CUDA_R_16BF() : CUDA_R_32F();
    }

    static int compute(CudaPrecision precision) {
        return precision == CudaPrecision.TF32 ? CUBLAS_COMPUTE_32F_FAST_TF32() : CUBLAS_COMPUTE_32F();
    }

    private static int operation(Operand x) {
        return x.transposed ? CUBLAS_OP_T() : CUBLAS_OP_N();
    }

    private static int leading(Operand x) {
        return Math.toIntExact(x.rowStride);
    }
}

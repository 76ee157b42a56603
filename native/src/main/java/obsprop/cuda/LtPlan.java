package obsprop.cuda;

import static obsprop.cuda.binding.cublas_h.CUBLAS_OP_N;
import static obsprop.cuda.binding.cublas_h.CUBLAS_OP_T;
import static obsprop.cuda.binding.cublas_h.CUDA_R_32F;
import static obsprop.cuda.binding.cublaslt_h.*;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Optional;
import obsprop.cuda.binding.cublasLtMatmulHeuristicResult_t;

/** How cublasLt computes a product of one shape: its descriptors and the algorithm that it advised. */
final class LtPlan {
    /** What views of our buffers have at least where this is used. */
    static final int ALIGNMENT = 16;

    private static final int SUCCESS = 0;

    final MemorySegment description;
    final MemorySegment left;
    final MemorySegment right;
    final MemorySegment target;
    final MemorySegment algorithm;
    private final Arena arena = Arena.ofShared();
    private final MemorySegment value = arena.allocate(ValueLayout.JAVA_LONG);

    private LtPlan(CublasLt.Shape s) {
        MemorySegment out = arena.allocate(ValueLayout.ADDRESS);
        // Column-major, like cuBLAS: our right operand comes first; see Cublas.gemm.
        Cublas.Size size = s.size();
        description = created(cublasLtMatmulDescCreate(out, Cublas.compute(s.precision()), CUDA_R_32F()), out);
        int type = Cublas.type(s.precision());
        left = layout(out, type, s.rightTransposed() ? size.k() : size.n(), s.rightTransposed() ? size.n() : size.k(), s.rightStride());
        right = layout(out, type, s.leftTransposed() ? size.m() : size.k(), s.leftTransposed() ? size.k() : size.m(), s.leftStride());
        target = layout(out, CUDA_R_32F(), size.n(), size.m(), s.stride());
        describe(CUBLASLT_MATMUL_DESC_TRANSA(), s.rightTransposed() ? CUBLAS_OP_T() : CUBLAS_OP_N());
        describe(CUBLASLT_MATMUL_DESC_TRANSB(), s.leftTransposed() ? CUBLAS_OP_T() : CUBLAS_OP_N());
        describe(CUBLASLT_MATMUL_DESC_EPILOGUE(), CUBLASLT_EPILOGUE_BIAS());
        algorithm = arena.allocate(cublasLtMatmulHeuristicResult_t.layout());
    }

    /** A plan for products of this shape; empty where this cublasLt has none. */
    static Optional<LtPlan> find(MemorySegment handle, CublasLt.Shape shape, long workspace) {
        LtPlan plan = new LtPlan(shape);
        if (plan.advised(handle, workspace)) {
            return Optional.of(plan);
        }
        plan.destroy();
        return Optional.empty();
    }

    /** Asks for an algorithm; whatever is wrong with the request in the eyes of this version, the answer is no. */
    private boolean advised(MemorySegment handle, long workspace) {
        MemorySegment out = arena.allocate(ValueLayout.ADDRESS);
        MemorySegment preference = created(cublasLtMatmulPreferenceCreate(out), out);
        try {
            prefer(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES(), workspace);
            prefer(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES(), ALIGNMENT);
            prefer(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES(), ALIGNMENT);
            prefer(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES(), ALIGNMENT);
            prefer(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES(), ALIGNMENT);
            MemorySegment count = arena.allocate(ValueLayout.JAVA_INT);
            int code = cublasLtMatmulAlgoGetHeuristic(
                    handle, description, left, right, target, target, preference, 1, algorithm, count);
            return code == SUCCESS && count.get(ValueLayout.JAVA_INT, 0) > 0
                    && cublasLtMatmulHeuristicResult_t.state(algorithm) == SUCCESS;
        } finally {
            cublasLtMatmulPreferenceDestroy(preference);
        }
    }

    private MemorySegment layout(MemorySegment out, int type, long rows, long columns, long stride) {
        return created(cublasLtMatrixLayoutCreate(out, type, rows, columns, stride), out);
    }

    private static MemorySegment created(int code, MemorySegment out) {
        Status.cublas(code, "describing a product to cublasLt");
        return out.get(ValueLayout.ADDRESS, 0);
    }

    private void describe(int attribute, int setting) {
        value.set(ValueLayout.JAVA_INT, 0, setting);
        set(attribute, Integer.BYTES);
    }

    /** Sets a pointer, which may differ from product to product. */
    void describe(int attribute, long setting) {
        value.set(ValueLayout.JAVA_LONG, 0, setting);
        set(attribute, Long.BYTES);
    }

    private void set(int attribute, int bytes) {
        Status.cublas(cublasLtMatmulDescSetAttribute(description, attribute, value, bytes), "describing a product to cublasLt");
    }

    private void prefer(MemorySegment preference, int attribute, int setting) {
        value.set(ValueLayout.JAVA_INT, 0, setting);
        cublasLtMatmulPreferenceSetAttribute(preference, attribute, value, Integer.BYTES);
    }

    private void prefer(MemorySegment preference, int attribute, long setting) {
        value.set(ValueLayout.JAVA_LONG, 0, setting);
        cublasLtMatmulPreferenceSetAttribute(preference, attribute, value, Long.BYTES);
    }

    void destroy() {
        cublasLtMatrixLayoutDestroy(left);
        cublasLtMatrixLayoutDestroy(right);
        cublasLtMatrixLayoutDestroy(target);
        cublasLtMatmulDescDestroy(description);
        arena.close();
    }
}

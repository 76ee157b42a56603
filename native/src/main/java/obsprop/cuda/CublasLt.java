package obsprop.cuda;

import static obsprop.cuda.binding.cublaslt_h.CUBLASLT_EPILOGUE_BIAS;
import static obsprop.cuda.binding.cublaslt_h.CUBLASLT_EPILOGUE_DGELU;
import static obsprop.cuda.binding.cublaslt_h.CUBLASLT_EPILOGUE_GELU_AUX;
import static obsprop.cuda.binding.cublaslt_h.CUBLASLT_EPILOGUE_GELU_AUX_BIAS;
import static obsprop.cuda.binding.cublaslt_h.CUBLASLT_MATMUL_DESC_BIAS_POINTER;
import static obsprop.cuda.binding.cublaslt_h.CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER;
import static obsprop.cuda.binding.cublaslt_h.cublasLtCreate;
import static obsprop.cuda.binding.cublaslt_h.cublasLtDestroy;
import static obsprop.cuda.binding.cublaslt_h.cublasLtMatmul;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.LinkedHashMap;
import java.util.Optional;

/** Matrix products by cublasLt that do more to their result before they write it, for row-major matrices. */
public final class CublasLt {
    private static final int MAX_PLANS = 512;
    private static final int SAVED_STRIDE_MULTIPLE = 8;

    private final CudaDevice device;
    private final MemorySegment handle;
    private final MemorySegment zero;
    private final MemorySegment one;
    /** By shape, the least recently used first; empty where cublasLt cannot do it. */
    private final LinkedHashMap<Shape, Optional<LtPlan>> plans = new LinkedHashMap<>(16, 0.75f, true);

    private CublasLt(CudaDevice device, Arena arena, MemorySegment handle) {
        this.device = device;
        this.handle = handle;
        zero = arena.allocateFrom(ValueLayout.JAVA_FLOAT, 0f);
        one = arena.allocateFrom(ValueLayout.JAVA_FLOAT, 1f);
    }

    static CublasLt create(CudaDevice device, Arena arena) {
        MemorySegment out = arena.allocate(ValueLayout.ADDRESS);
        Status.cublas(cublasLtCreate(out), "starting cublasLt");
        return new CublasLt(device, arena, out.get(ValueLayout.ADDRESS, 0));
    }

    void destroy() {
        plans.values().forEach(plan -> plan.ifPresent(LtPlan::destroy));
        cublasLtDestroy(handle);
    }

    /** What is done to {@code p}, the product (with c added, when accumulating). GELU is that by tanh. */
    public enum Epilogue {
        /** {@code c = p + bias}. */
        BIAS(CUBLASLT_EPILOGUE_BIAS()),
        /** {@code saved = p, c = gelu(saved)}. */
        GELU(CUBLASLT_EPILOGUE_GELU_AUX()),
        /** {@code saved = p + bias, c = gelu(saved)}. */
        GELU_BIAS(CUBLASLT_EPILOGUE_GELU_AUX_BIAS()),
        /** {@code c = p gelu'(saved)}. */
        GELU_VJP(CUBLASLT_EPILOGUE_DGELU());

        private final int code;

        Epilogue(int code) {
            this.code = code;
        }

        int code() {
            return code;
        }
    }

    /** {@code c[m,n] = op(a)[m,k] op(b)[k,n] (+ c)}; see {@link Cublas#gemm}. */
    public record Product(
            CudaPrecision precision, Cublas.Size size, Cublas.Operand a, Cublas.Operand b, Cublas.Operand c, boolean accumulate) {}

    /**
     * An epilogue with its vectors and matrices, of fp32.
     *
     * @param bias [n], or NULL
     * @param saved [m,n], the argument of GELU, or NULL
     * @param savedStride elements from row to row of saved
     */
    public record Finish(Epilogue epilogue, MemorySegment bias, MemorySegment saved, long savedStride) {
        /** {@code c = p + bias}. */
        public static Finish bias(MemorySegment bias) {
            return new Finish(Epilogue.BIAS, bias, MemorySegment.NULL, 0);
        }

        private boolean possible() {
            return isAligned(bias) && isAligned(saved) && savedStride % SAVED_STRIDE_MULTIPLE == 0;
        }
    }

    /** What an algorithm depends on. */
    record Shape(
            CudaPrecision precision, Cublas.Size size, long leftStride, boolean leftTransposed, long rightStride,
            boolean rightTransposed, long stride, Epilogue epilogue, long savedStride) {
        static Shape of(Product p, Finish finish) {
            return new Shape(p.precision, p.size, p.a.rowStride(), p.a.transposed(), p.b.rowStride(), p.b.transposed(),
                    p.c.rowStride(), finish.epilogue, finish.savedStride);
        }
    }

    /**
     * Queues a product and what follows it.
     *
     * @return false, nothing being done, where the memory is not aligned to {@value LtPlan#ALIGNMENT} bytes, the saved rows
     *     not to a multiple of {@value #SAVED_STRIDE_MULTIPLE} elements, or cublasLt has no algorithm for it
     */
    public boolean multiply(Product p, Finish finish) {
        if (!isAligned(p.a.data()) || !isAligned(p.b.data()) || !isAligned(p.c.data()) || !finish.possible()) {
            return false;
        }
        device.makeCurrent();
        MemorySegment workspace = device.workspace();
        Optional<LtPlan> found = plan(Shape.of(p, finish), workspace.byteSize());
        if (found.isEmpty()) {
            return false;
        }
        LtPlan plan = found.get();
        if (finish.bias.address() != 0) {
            plan.describe(CUBLASLT_MATMUL_DESC_BIAS_POINTER(), finish.bias.address());
        }
        if (finish.saved.address() != 0) {
            plan.describe(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER(), finish.saved.address());
        }
        MemorySegment c = p.c.data();
        int code = cublasLtMatmul(handle, plan.description, one, p.b.data(), plan.left, p.a.data(), plan.right,
                p.accumulate ? one : zero, c, plan.target, c, plan.target, plan.algorithm,
                workspace, workspace.byteSize(), device.stream().handle());
        Status.cublas(code, "multiplying " + p.size.m() + "x" + p.size.k() + " by " + p.size.k() + "x" + p.size.n()
                + " with " + finish.epilogue);
        return true;
    }

    private Optional<LtPlan> plan(Shape shape, long workspace) {
        Optional<LtPlan> known = plans.get(shape);
        if (known != null) {
            return known;
        }
        if (plans.size() >= MAX_PLANS) {
            var eldest = plans.pollFirstEntry();
            eldest.getValue().ifPresent(LtPlan::destroy);
        }
        Optional<LtPlan> found = LtPlan.find(handle, shape, workspace);
        plans.put(shape, found);
        return found;
    }

    private static boolean isAligned(MemorySegment memory) {
        return memory.address() % LtPlan.ALIGNMENT == 0;
    }
}

package obsprop.cuda;

import static obsprop.cuda.binding.cublaslt_h.CUBLASLT_MATMUL_DESC_BIAS_POINTER;
import static obsprop.cuda.binding.cublaslt_h.cublasLtCreate;
import static obsprop.cuda.binding.cublaslt_h.cublasLtDestroy;
import static obsprop.cuda.binding.cublaslt_h.cublasLtMatmul;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.LinkedHashMap;
import java.util.Optional;

/** Matrix products by cublasLt that add a bias to their result before they write it, for row-major matrices. */
public final class CublasLt {
    private static final int MAX_PLANS = 512;

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

    /** {@code c[m,n] = op(a)[m,k] op(b)[k,n] (+ c)}; see {@link Cublas#gemm}. */
    public record Product(
            CudaPrecision precision, Cublas.Size size, Cublas.Operand a, Cublas.Operand b, Cublas.Operand c, boolean accumulate) {}

    /** What an algorithm depends on. */
    record Shape(
            CudaPrecision precision, Cublas.Size size, long leftStride, boolean leftTransposed, long rightStride,
            boolean rightTransposed, long stride) {
        static Shape of(Product p) {
            return new Shape(p.precision, p.size, p.a.rowStride(), p.a.transposed(), p.b.rowStride(), p.b.transposed(),
                    p.c.rowStride());
        }
    }

    /**
     * Queues {@code c[m,n] = op(a) op(b) (+ c) + bias}.
     *
     * @param bias [n], of fp32
     * @return false, nothing being done, where the memory is not aligned to {@value LtPlan#ALIGNMENT} bytes, or cublasLt has no
     *     algorithm for it
     */
    public boolean multiply(Product p, MemorySegment bias) {
        if (!isAligned(p.a.data()) || !isAligned(p.b.data()) || !isAligned(p.c.data()) || !isAligned(bias)) {
            return false;
        }
        device.makeCurrent();
        MemorySegment workspace = device.workspace();
        Optional<LtPlan> found = plan(Shape.of(p), workspace.byteSize());
        if (found.isEmpty()) {
            return false;
        }
        LtPlan plan = found.get();
        plan.describe(CUBLASLT_MATMUL_DESC_BIAS_POINTER(), bias.address());
        MemorySegment c = p.c.data();
        int code = cublasLtMatmul(handle, plan.description, one, p.b.data(), plan.left, p.a.data(), plan.right,
                p.accumulate ? one : zero, c, plan.target, c, plan.target, plan.algorithm,
                workspace, workspace.byteSize(), device.stream().handle());
        Status.cublas(code, "multiplying " + p.size.m() + "x" + p.size.k() + " by " + p.size.k() + "x" + p.size.n()
                + " with a bias");
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

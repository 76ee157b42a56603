package obsprop.bench;

import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.List;
import obsprop.kernel.Transpose;
import obsprop.kernel.Write;
import obsprop.kernel.cpu.CpuKernels;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;

/** The engine's own kernels; {@link #name} tells the type of the weights. */
public class ObspropMultiplier implements Multiplier {
    private final Arena arena = Arena.ofShared();
    private final List<Tensor> weights = new ArrayList<>();
    private final DType type;
    private CpuKernels kernels;
    private Tensor x;
    private Tensor y;
    private Tensor dx;

    /** With weights in F32. */
    public ObspropMultiplier() {
        this(DType.F32);
    }

    ObspropMultiplier(DType type) {
        this.type = type;
    }

    /** With weights in BF16. */
    public static final class Bf16 extends ObspropMultiplier {
        public Bf16() {
            super(DType.BF16);
        }

        @Override
        public String name() {
            return "obsprop-bf16";
        }
    }

    @Override
    public String name() {
        return "obsprop";
    }

    @Override
    public void prepare(int threads, float[] input, float[] weight, int copies, int tokens, int out, int in) {
        kernels = CpuKernels.create(threads);
        x = Tensor.ofFloats(arena, input, tokens, in);
        y = Tensor.allocate(arena, DType.F32, tokens, out);
        dx = Tensor.allocate(arena, DType.F32, tokens, in);
        try (Arena once = Arena.ofShared()) {
            Tensor given = Tensor.ofFloats(once, weight, out, in);
            for (int i = 0; i < copies; i++) {
                Tensor copy = Tensor.allocate(arena, type, out, in);
                kernels.copy(given, copy);
                weights.add(copy);
            }
        }
    }

    @Override
    public void forward(int copy) {
        kernels.gemm(x, Transpose.NO, weights.get(copy), Transpose.YES, y, Write.OVERWRITE);
    }

    @Override
    public void backward(int copy) {
        kernels.gemm(y, Transpose.NO, weights.get(copy), Transpose.NO, dx, Write.OVERWRITE);
    }

    @Override
    public float[] y() {
        return y.toFloats();
    }

    @Override
    public float[] dx() {
        return dx.toFloats();
    }

    @Override
    public void close() {
        kernels.close();
        arena.close();
    }
}

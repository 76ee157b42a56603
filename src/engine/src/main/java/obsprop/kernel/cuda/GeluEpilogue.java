package obsprop.kernel.cuda;

import java.lang.foreign.Arena;
import java.util.Optional;
import obsprop.cuda.CudaPrecision;
import obsprop.kernel.Activation;
import obsprop.kernel.Kernels;
import obsprop.kernel.Transpose;
import obsprop.kernel.Write;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;

/**
 * Decides whether cublasLt's GELU stands in for {@link Activation#GELU_TANH}: its documentation says neither how closely
 * nor whether that holds for the next version, so it is measured on the device, against our own kernels, when first
 * asked for. Only in fp32: cublasLt has no tensor-core product with it, and runs a slower pass than ours behind one.
 */
final class GeluEpilogue {
    private static final int ROWS = 64;
    private static final int WIDTH = 8;
    private static final double LARGEST = 8;
    /** Some roundings of values near {@value #LARGEST}. */
    private static final double ALLOWED = 2e-6;

    private final Kernels kernels;
    private final Products products;
    private final CudaPrecision precision;
    private Optional<Boolean> agrees = Optional.empty();

    GeluEpilogue(Kernels kernels, Products products, CudaPrecision precision) {
        this.kernels = kernels;
        this.products = products;
        this.precision = precision;
    }

    /** Whether products may be finished by cublasLt for this activation. */
    boolean serves(Activation f) {
        if (f != Activation.GELU_TANH || precision != CudaPrecision.FP32) {
            return false;
        }
        if (agrees.isEmpty()) {
            agrees = Optional.of(error() <= ALLOWED);
        }
        return agrees.get();
    }

    /** The largest difference of value or derivative over max(1, x), at arguments up to {@value #LARGEST}. */
    private double error() {
        try (Arena arena = Arena.ofShared()) {
            Tensor x = kernels.place(arena, arguments(arena));
            Tensor identity = kernels.place(arena, identity(arena));
            Tensor pre = kernels.allocate(arena, ROWS, WIDTH);
            Tensor fused = kernels.allocate(arena, ROWS, WIDTH);
            Tensor own = kernels.allocate(arena, ROWS, WIDTH);
            if (!products.linear(x, identity, Transpose.NO, Optional.empty(), Optional.of(pre), fused, Write.OVERWRITE)) {
                return Double.POSITIVE_INFINITY;
            }
            kernels.activation(Activation.GELU_TANH, pre, own);
            double error = difference(arena, fused, own);
            Tensor ones = kernels.place(arena, ones(arena));
            if (!products.geluVjp(ones, identity, Transpose.NO, pre, fused)) {
                return Double.POSITIVE_INFINITY;
            }
            kernels.activationVjp(Activation.GELU_TANH, ones, pre, own);
            return Math.max(error, difference(arena, fused, own));
        }
    }

    private static Tensor arguments(Arena arena) {
        Tensor x = Tensor.allocate(arena, DType.F32, ROWS, WIDTH);
        for (int i = 0; i < ROWS * WIDTH; i++) {
            x.write(i, LARGEST * (2.0 * i / (ROWS * WIDTH) - 1));
        }
        return x;
    }

    private static Tensor identity(Arena arena) {
        Tensor x = Tensor.allocate(arena, DType.F32, WIDTH, WIDTH);
        for (int i = 0; i < WIDTH; i++) {
            x.set(1, i, i);
        }
        return x;
    }

    private static Tensor ones(Arena arena) {
        Tensor x = Tensor.allocate(arena, DType.F32, ROWS, WIDTH);
        for (int i = 0; i < ROWS * WIDTH; i++) {
            x.write(i, 1);
        }
        return x;
    }

    private double difference(Arena arena, Tensor a, Tensor b) {
        float[] left = host(arena, a);
        float[] right = host(arena, b);
        double largest = 0;
        for (int i = 0; i < left.length; i++) {
            largest = Math.max(largest, Math.abs(left[i] - right[i]) / Math.max(1, Math.abs(right[i])));
        }
        return largest;
    }

    private float[] host(Arena arena, Tensor x) {
        Tensor host = Tensor.allocate(arena, DType.F32, x.shape());
        kernels.copy(x, host);
        return host.toFloats();
    }
}

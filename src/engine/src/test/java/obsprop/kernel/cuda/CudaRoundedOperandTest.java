package obsprop.kernel.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import obsprop.cuda.CudaPrecision;
import obsprop.kernel.Activation;
import obsprop.kernel.AttentionRule;
import obsprop.kernel.AttentionSpec;
import obsprop.kernel.Kernels;
import obsprop.kernel.Kernels.AttentionCotangents;
import obsprop.kernel.Kernels.AttentionSaved;
import obsprop.kernel.NormParameters;
import obsprop.kernel.NormRule;
import obsprop.kernel.Segments;
import obsprop.kernel.Transpose;
import obsprop.kernel.Write;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;
import obsprop.testing.Tensors;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** In bfloat16, a product gives the same bits whether its operand was rounded by the kernel that wrote it, before, or by itself. */
class CudaRoundedOperandTest {
    private static final int ROWS = 70;
    private static final int HEADS = 2;
    private static final int WIDTH = 64;
    private static final int N = HEADS * WIDTH;
    /** So many that the weights have a twin, whose rounding would be one more kernel. */
    private static final int COLUMNS = 40;

    private final Random random = new Random(5);
    private final Arena arena = Arena.ofShared();
    private CudaUnderTest cuda;
    private Kernels kernels;
    private Tensor w;
    private Tensor square;

    @BeforeEach
    void open() {
        cuda = CudaUnderTest.open(CudaPrecision.BF16);
        kernels = cuda.kernels();
        w = values(N, COLUMNS);
        square = values(N, N);
    }

    @AfterEach
    void close() {
        arena.close();
        cuda.close();
    }

    private Tensor values(int... shape) {
        return kernels.place(arena, Tensors.random(arena, DType.F32, random, 1, shape));
    }

    private Tensor empty(int... shape) {
        return kernels.allocate(arena, shape);
    }

    private float[] product(Tensor x) {
        Tensor y = empty(x.size(0), COLUMNS);
        kernels.gemm(x, Transpose.NO, w, Transpose.NO, y, Write.OVERWRITE);
        return Tensors.onHost(arena, kernels, y).toFloats();
    }

    /** The product of x as it is, which lies elsewhere. */
    private float[] productOfCopy(Tensor x) {
        Tensor copy = kernels.place(arena, Tensors.onHost(arena, kernels, x));
        return product(copy);
    }

    /** What writes matrices that a product may take next, and where. */
    private Map<String, Tensor> writers() {
        Map<String, Tensor> written = new LinkedHashMap<>();
        Tensor x = values(ROWS, N);
        Tensor d = values(2 * ROWS, N);
        Tensor stats = empty(ROWS, 2);
        var norm = new NormParameters(NormParameters.Kind.LAYER, 1e-5, 0, values(N), Optional.of(values(N)));
        Tensor normed = empty(ROWS, N);
        kernels.norm(x, norm, normed, stats);
        written.put("norm", normed);
        check(written, normed);
        for (Write write : Write.values()) {
            Tensor dx = values(2 * ROWS, N);
            kernels.normVjp(d, x, stats, norm, NormRule.EXACT, dx, write);
            written.put("normVjp " + write, dx);
            check(written, dx);
        }
        Tensor acted = empty(ROWS, N);
        kernels.activation(Activation.GELU_TANH, x, acted);
        check(written, acted);
        written.put("activation", acted);
        Tensor narrowActed = empty(ROWS, N + 1).slice(1, 0, N); // rows that are not aligned
        kernels.activation(Activation.SILU, x, narrowActed);
        written.put("activation of other rows", narrowActed);
        check(written, narrowActed);
        Tensor dActed = empty(2 * ROWS, N);
        kernels.activationVjp(Activation.GELU_TANH, d, x, dActed);
        written.put("activationVjp", dActed);
        check(written, dActed);
        Tensor gated = empty(ROWS, N);
        kernels.gated(Activation.SILU, x, normed, gated);
        written.put("gated", gated);
        check(written, gated);
        Tensor dGate = empty(2 * ROWS, N);
        Tensor dUp = empty(2 * ROWS, N);
        kernels.gatedVjp(Activation.SILU, d, x, normed, dGate, dUp);
        written.put("gatedVjp", dGate);
        check(written, dGate);
        check(written, dUp);
        var saved = new AttentionSaved(heads(values(ROWS, N)), heads(values(ROWS, N)), heads(values(ROWS, N)), heads(empty(ROWS, N)),
                empty(ROWS, HEADS));
        var spec = new AttentionSpec(0.1, AttentionSpec.NO_WINDOW, AttentionSpec.NO_CAP);
        kernels.attention(saved.q(), saved.k(), saved.v(), spec, new Segments(ROWS), saved.z(), saved.lse());
        written.put("attention", saved.z().flatten(1));
        check(written, saved.z().flatten(1));
        var cotangents = new AttentionCotangents(heads(empty(ROWS, N)), heads(empty(ROWS, N)), heads(empty(ROWS, N)));
        kernels.attentionVjp(heads(x), saved, spec, new Segments(ROWS), AttentionRule.EXACT, cotangents);
        check(written, cotangents.dq().flatten(1));
        return written;
    }

    private static Tensor heads(Tensor x) {
        return x.unflatten(1, HEADS, WIDTH);
    }

    private void check(Map<String, Tensor> written, Tensor x) {
        float[] now = product(x);
        assertArrayEquals(productOfCopy(x), now, () -> "after " + written.keySet());
    }

    @Test
    void whatAKernelWrites() {
        assertEquals(9, writers().size());
    }

    /** Whatever changes the matrix afterwards. */
    @Test
    void whatHasChangedSince() {
        Tensor x = values(ROWS, N);
        Tensor y = empty(ROWS, N);
        Tensor other = values(ROWS, N);
        Map<String, Runnable> changes = new LinkedHashMap<>();
        changes.put("copy", () -> kernels.copy(other, y));
        changes.put("copy from the host", () -> kernels.copy(Tensors.random(arena, DType.F32, random, 1, ROWS, N), y));
        changes.put("copy of a part", () -> kernels.copy(other.slice(1, 0, 8), y.slice(1, 8, 16)));
        changes.put("zero", () -> kernels.zero(y));
        changes.put("zero of a row", () -> kernels.zero(y.slice(0, 3, 4)));
        changes.put("addScaled", () -> kernels.addScaled(2, other, y));
        changes.put("a product", () -> kernels.gemm(other, Transpose.NO, square, Transpose.NO, y, Write.OVERWRITE));
        changes.put("its own product", () -> {
            product(y);
            kernels.gemm(y, Transpose.NO, square, Transpose.NO, other, Write.OVERWRITE);
            kernels.gemm(other, Transpose.NO, square, Transpose.NO, y, Write.ACCUMULATE);
        });
        Tensor narrow = kernels.place(arena, Tensors.random(arena, DType.BF16, random, 1, ROWS, N));
        changes.put("a product of weights", () -> kernels.gemm(narrow, Transpose.NO, square, Transpose.NO, y, Write.OVERWRITE));
        changes.put("a product with a bias", () ->
                kernels.linear(other, square, Transpose.NO, Optional.of(values(N)), y, Write.ACCUMULATE));
        changes.put("broadcast", () -> kernels.broadcast(values(N), y, Write.ACCUMULATE));
        changes.put("softCap", () -> kernels.softCap(0.5, y));
        changes.forEach((name, change) -> {
            kernels.activation(Activation.SILU, x, y);
            float[] before = product(y);
            change.run();
            float[] after = product(y);
            assertArrayEquals(productOfCopy(y), after, name);
            assertFalse(Arrays.equals(before, after), name + " changes nothing");
        });
    }

    /** A recorded product rounds what it finds when it is played, whatever was known when it was recorded. */
    @Test
    void replays() {
        Tensor x = values(ROWS, N);
        Tensor y = empty(ROWS, COLUMNS);
        try (Kernels.Replay replay = kernels.replay(() -> kernels.gemm(x, Transpose.NO, w, Transpose.NO, y, Write.OVERWRITE))) {
            for (int run = 0; run < 6; run++) {
                if (run < 3) {
                    kernels.activation(Activation.SILU, values(ROWS, N), x);
                } else {
                    kernels.addScaled(1, values(ROWS, N), x);
                }
                replay.run();
                assertArrayEquals(productOfCopy(x), Tensors.onHost(arena, kernels, y).toFloats(), "run " + run);
            }
            assertEquals(Optional.empty(), replay.refusal());
        }
        Tensor step = values(ROWS, N);
        try (Kernels.Replay replay = kernels.replay(() -> kernels.addScaled(1, step, x))) {
            for (int run = 0; run < 6; run++) {
                product(x);
                replay.run();
                float[] now = product(x);
                assertArrayEquals(productOfCopy(x), now, "run " + run);
            }
        }
    }
}

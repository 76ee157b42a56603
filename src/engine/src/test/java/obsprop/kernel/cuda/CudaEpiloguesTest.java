package obsprop.kernel.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.util.Optional;
import java.util.Random;
import obsprop.cuda.CudaPrecision;
import obsprop.cuda.emulator.Emulator;
import obsprop.cuda.emulator.TestDevice;
import obsprop.kernel.Activation;
import obsprop.kernel.Kernels;
import obsprop.kernel.Transpose;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;
import obsprop.testing.Tensors;
import org.junit.jupiter.api.Test;

/** Products are finished by cublasLt where that saves a pass and changes nothing; that the results are right is in the contract. */
class CudaEpiloguesTest {
    /** A linear map with bias and activation, and back: how often cublasLt added a bias, applied GELU, and its derivative. */
    private static long[] finished(CudaPrecision precision, Activation f, int cotangents) {
        Emulator emulator = TestDevice.emulator();
        try (CudaUnderTest cuda = CudaUnderTest.open(precision); Arena arena = Arena.ofShared()) {
            Kernels kernels = cuda.kernels();
            Random random = new Random(3);
            Tensor w = kernels.place(arena, Tensors.random(arena, DType.F32, random, 1, 16, 24));
            Tensor bias = kernels.place(arena, Tensors.random(arena, DType.F32, random, 1, 16));
            Tensor x = kernels.place(arena, Tensors.random(arena, DType.F32, random, 1, 5, 24));
            Tensor pre = kernels.allocate(arena, 5, 16);
            Tensor y = kernels.allocate(arena, 5, 16);
            kernels.linearActivation(x, w, Transpose.YES, Optional.of(bias), f, pre, y); // the first may try out GELU
            long[] before = {emulator.productsWithBias(), emulator.productsWithGelu(), emulator.productsWithGeluVjp()};
            kernels.linearActivation(x, w, Transpose.YES, Optional.of(bias), f, pre, y);
            Tensor dz = kernels.allocate(arena, cotangents * 5, 24);
            kernels.activationLinearVjp(f, dz, w, Transpose.YES, pre, kernels.allocate(arena, cotangents * 5, 16));
            return new long[] {emulator.productsWithBias() - before[0], emulator.productsWithGelu() - before[1],
                emulator.productsWithGeluVjp() - before[2]};
        }
    }

    private static void assertFinished(String expected, CudaPrecision precision, Activation f, int cotangents) {
        long[] n = finished(precision, f, cotangents);
        assertEquals(expected, n[0] + " biases, " + n[1] + " GELUs, " + n[2] + " derivatives");
    }

    @Test
    void eachSavesItsPass() {
        for (CudaPrecision precision : CudaPrecision.values()) {
            assertFinished(precision == CudaPrecision.FP32 ? "0 biases, 1 GELUs, 1 derivatives" : "1 biases, 0 GELUs, 0 derivatives",
                    precision, Activation.GELU_TANH, 1);
            assertFinished("1 biases, 0 GELUs, 0 derivatives", precision, Activation.SILU, 1);
        }
    }

    /** cublasLt has but the GELU by tanh. */
    @Test
    void theOtherGeluIsOurs() {
        assertFinished("1 biases, 0 GELUs, 0 derivatives", CudaPrecision.FP32, Activation.GELU_ERF, 1);
    }

    /** Its saved argument has a row for each row of the product. */
    @Test
    void severalCotangentsShareSavedRows() {
        assertFinished("0 biases, 1 GELUs, 0 derivatives", CudaPrecision.FP32, Activation.GELU_TANH, 2);
    }

    @Test
    void aCoarseGeluIsNotTaken() {
        Emulator emulator = TestDevice.emulator();
        emulator.coarseGelu(true);
        try {
            assertFinished("1 biases, 0 GELUs, 0 derivatives", CudaPrecision.FP32, Activation.GELU_TANH, 1);
        } finally {
            emulator.coarseGelu(false);
        }
        assertTrue(emulator.productsWithGelu() > 0);
    }
}

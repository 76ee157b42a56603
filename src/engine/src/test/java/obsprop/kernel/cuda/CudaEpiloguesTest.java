package obsprop.kernel.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.lang.foreign.Arena;
import java.util.Optional;
import java.util.Random;
import obsprop.cuda.CudaPrecision;
import obsprop.cuda.emulator.Emulator;
import obsprop.cuda.emulator.TestDevice;
import obsprop.kernel.Kernels;
import obsprop.kernel.Transpose;
import obsprop.kernel.Write;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;
import obsprop.testing.Tensors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Biases are added by cublasLt, which saves a pass; that the results are right is in the contract. */
class CudaEpiloguesTest {
    /** How often cublasLt added a bias in one linear map. */
    private static long biases(CudaPrecision precision, boolean biased) {
        Emulator emulator = TestDevice.emulator();
        try (CudaUnderTest cuda = CudaUnderTest.open(precision); Arena arena = Arena.ofShared()) {
            Kernels kernels = cuda.kernels();
            Random random = new Random(3);
            Tensor w = kernels.place(arena, Tensors.random(arena, DType.F32, random, 1, 16, 24));
            Tensor bias = kernels.place(arena, Tensors.random(arena, DType.F32, random, 1, 16));
            Tensor x = kernels.place(arena, Tensors.random(arena, DType.F32, random, 1, 5, 24));
            long before = emulator.productsWithBias();
            kernels.linear(x, w, Transpose.YES, biased ? Optional.of(bias) : Optional.empty(), kernels.allocate(arena, 5, 16),
                    Write.OVERWRITE);
            return emulator.productsWithBias() - before;
        }
    }

    @ParameterizedTest
    @EnumSource
    void aBiasSavesItsPass(CudaPrecision precision) {
        assertEquals(1, biases(precision, true));
    }

    @Test
    void noBiasNoCublasLt() {
        assertEquals(0, biases(CudaPrecision.FP32, false));
    }
}

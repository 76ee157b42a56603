package obsprop.kernel.cuda;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.util.Random;
import obsprop.cuda.CudaPrecision;
import obsprop.kernel.Kernels;
import obsprop.kernel.Transpose;
import obsprop.kernel.Write;
import obsprop.kernel.scalar.ScalarKernels;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;
import obsprop.testing.Tensors;
import obsprop.testing.Tolerance;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Products are as precise as was asked for, and the coarser choices are really taken. */
class CudaPrecisionTest {
    private static final int M = 13;
    private static final int N = 31;
    private static final int K = 257;

    /** Unit roundoff of the operands: TF32 keeps 11 bits, bfloat16 8. */
    private static double roundoff(CudaPrecision precision) {
        return switch (precision) {
            case FP32 -> Tolerance.roundoff(DType.F32);
            case TF32 -> 0x1p-11;
            case BF16 -> Tolerance.roundoff(DType.BF16);
        };
    }

    @ParameterizedTest
    @EnumSource
    void products(CudaPrecision precision) {
        for (DType type : new DType[] {DType.F32, DType.F16, DType.BF16}) {
            double error = error(precision, type);
            // Two roundings of every factor; errors are random, so they grow with the root of the length.
            double allowed = 4 * 2 * roundoff(precision) * Math.sqrt(K) * 0.5
                    + Tolerance.ofRandomSum(DType.F32, K, 1);
            System.out.printf("%s products, weights %s: error %.1e, allowed %.1e%n", precision, type, error, allowed);
            assertTrue(error <= allowed, precision + " " + type + ": " + error + " > " + allowed);
            if (precision != CudaPrecision.FP32) {
                assertTrue(error > roundoff(precision) / 8, precision + " is more exact than it can be: " + error);
            }
        }
    }

    private static double error(CudaPrecision precision, DType type) {
        try (CudaUnderTest cuda = CudaUnderTest.open(precision); Arena arena = Arena.ofShared()) {
            Kernels kernels = cuda.kernels();
            Random random = new Random(7);
            Tensor x = Tensors.random(arena, DType.F32, random, 1, M, K);
            Tensor w = Tensors.random(arena, type, random, 1, N, K);
            Tensor y = kernels.allocate(arena, M, N);
            kernels.gemm(kernels.place(arena, x), Transpose.NO, kernels.place(arena, w), Transpose.YES, y, Write.OVERWRITE);
            Kernels oracle = ScalarKernels.float64();
            Tensor wide = Tensor.allocate(arena, DType.F64, M, K);
            oracle.copy(x, wide);
            Tensor expected = Tensor.allocate(arena, DType.F64, M, N);
            oracle.gemm(wide, Transpose.NO, w, Transpose.YES, expected, Write.OVERWRITE);
            return Tensors.largestDifference(expected, Tensors.onHost(arena, kernels, y));
        }
    }

    /** A part of a weight that was rounded once gives what the same part gives as a weight of its own. */
    @Test
    void partsOfWeights() {
        try (CudaUnderTest cuda = CudaUnderTest.open(CudaPrecision.BF16); Arena arena = Arena.ofShared()) {
            Kernels kernels = cuda.kernels();
            Random random = new Random(7);
            Tensor x = kernels.place(arena, Tensors.random(arena, DType.F32, random, 1, M, 80));
            Tensor host = Tensors.random(arena, DType.F32, random, 1, 90, 160);
            Tensor part = host.slice(0, 7, 7 + N).slice(1, 40, 120);
            Tensor own = Tensor.allocate(arena, DType.F32, N, 80);
            ScalarKernels.float32().copy(part, own);
            Tensor[] y = {kernels.allocate(arena, M, N), kernels.allocate(arena, M, N)};
            Tensor placed = kernels.place(arena, host).slice(0, 7, 7 + N).slice(1, 40, 120);
            kernels.gemm(x, Transpose.NO, placed, Transpose.YES, y[0], Write.OVERWRITE);
            kernels.gemm(x, Transpose.NO, kernels.place(arena, own), Transpose.YES, y[1], Write.OVERWRITE);
            assertEquals(0, Tensors.largestDifference(
                    Tensors.onHost(arena, kernels, y[0]), Tensors.onHost(arena, kernels, y[1])), 1e-5);
        }
    }
}

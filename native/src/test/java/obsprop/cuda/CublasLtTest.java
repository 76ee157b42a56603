package obsprop.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import obsprop.cuda.CublasLt.Product;
import obsprop.cuda.emulator.TestDevice;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Products with a bias: [2,2] times [2,8]. */
class CublasLtTest {
    private static final Cublas.Size SIZE = new Cublas.Size(2, 8, 2);
    private static final float[] A = {1, 2, -3, 0.5f};
    private static final float[] B = {1, 2, 3, 4, 5, 6, 7, 8, -1, 0, 1, 0, -1, 0, 1, 0};
    private static final float[] BIAS = {10, 20, 30, 40, 50, 60, 70, 80};

    @AfterEach
    void nothingIsLeaked() {
        CudaDeviceTest.requireNothingLeft();
    }

    private static double ab(int row, int column) {
        return A[2 * row] * B[column] + A[2 * row + 1] * B[8 + column];
    }

    private static Product product(CudaDevice device, Arena arena, MemorySegment c, boolean accumulate) {
        return new Product(CudaPrecision.FP32, SIZE, new Cublas.Operand(CudaDeviceTest.upload(device, arena, A), 2, false),
                new Cublas.Operand(CudaDeviceTest.upload(device, arena, B), 8, false), new Cublas.Operand(c, 8, false), accumulate);
    }

    @Test
    void addsBias() {
        try (CudaDevice device = TestDevice.open(); Arena arena = Arena.ofConfined()) {
            float[] before = new float[16];
            before[3] = 1000;
            MemorySegment c = CudaDeviceTest.upload(device, arena, before);
            MemorySegment bias = CudaDeviceTest.upload(device, arena, BIAS);
            assertTrue(device.cublasLt().multiply(product(device, arena, c, true), bias));
            float[] expected = new float[16];
            for (int i = 0; i < 16; i++) {
                expected[i] = (float) (before[i] + ab(i / 8, i % 8) + BIAS[i % 8]);
            }
            assertArrayEquals(expected, CudaDeviceTest.floats(device, c));
        }
    }

    /** It says no, and does nothing, rather than pass on what cublasLt does not take. */
    @Test
    void refusesWhatIsNotAligned() {
        try (CudaDevice device = TestDevice.open(); Arena arena = Arena.ofConfined()) {
            MemorySegment c = CudaDeviceTest.upload(device, arena, new float[17]);
            MemorySegment bias = CudaDeviceTest.upload(device, arena, new float[9]);
            assertFalse(device.cublasLt().multiply(product(device, arena, c, false), bias.asSlice(4)));
            assertFalse(device.cublasLt().multiply(product(device, arena, c.asSlice(4), false), bias));
            assertArrayEquals(new float[17], CudaDeviceTest.floats(device, c));
        }
    }
}

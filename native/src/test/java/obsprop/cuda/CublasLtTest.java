package obsprop.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import obsprop.cuda.CublasLt.Epilogue;
import obsprop.cuda.CublasLt.Finish;
import obsprop.cuda.CublasLt.Product;
import obsprop.cuda.emulator.TestDevice;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Products with epilogues: [2,2] times [2,8]. */
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
            assertTrue(device.cublasLt().multiply(product(device, arena, c, true), Finish.bias(bias)));
            float[] expected = new float[16];
            for (int i = 0; i < 16; i++) {
                expected[i] = (float) (before[i] + ab(i / 8, i % 8) + BIAS[i % 8]);
            }
            assertArrayEquals(expected, CudaDeviceTest.floats(device, c));
        }
    }

    private static double gelu(double x) {
        return 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x)));
    }

    /** That the GELU is the one by tanh, and that its argument is kept. */
    @Test
    void geluKeepsItsArgument() {
        try (CudaDevice device = TestDevice.open(); Arena arena = Arena.ofConfined()) {
            MemorySegment c = device.allocate(64, arena);
            MemorySegment saved = device.allocate(64, arena);
            MemorySegment bias = CudaDeviceTest.upload(device, arena, new float[] {0.5f, 0, -2, -3, -4, -5, -7, -8});
            Product product = product(device, arena, c, false);
            assertTrue(device.cublasLt().multiply(product, new Finish(Epilogue.GELU_BIAS, bias, saved, 8)));
            assertGelu(device, c, saved, -0.5 + 0);
            assertTrue(device.cublasLt().multiply(product, new Finish(Epilogue.GELU, MemorySegment.NULL, saved, 8)));
            assertEquals(ab(1, 0), CudaDeviceTest.floats(device, saved)[8], 1e-6);
            assertGelu(device, c, saved, ab(0, 0));
        }
    }

    private static void assertGelu(CudaDevice device, MemorySegment c, MemorySegment saved, double first) {
        float[] arguments = CudaDeviceTest.floats(device, saved);
        float[] values = CudaDeviceTest.floats(device, c);
        assertEquals(first, arguments[0], 1e-6);
        for (int i = 0; i < 16; i++) {
            assertEquals(gelu(arguments[i]), values[i], 2e-3, "GELU of " + arguments[i]);
        }
    }

    @Test
    void vjpMultipliesBySlope() {
        try (CudaDevice device = TestDevice.open(); Arena arena = Arena.ofConfined()) {
            MemorySegment c = device.allocate(64, arena);
            float[] x = {-3, -2, -1, -0.5f, 0, 0.5f, 1, 2, 3, 4, -4, 0.1f, -0.1f, 0, 7, -7};
            MemorySegment saved = CudaDeviceTest.upload(device, arena, x);
            assertTrue(device.cublasLt().multiply(
                    product(device, arena, c, false), new Finish(Epilogue.GELU_VJP, MemorySegment.NULL, saved, 8)));
            float[] values = CudaDeviceTest.floats(device, c);
            for (int i = 0; i < 16; i++) {
                double slope = (gelu(x[i] + 1e-5) - gelu(x[i] - 1e-5)) / 2e-5;
                assertEquals(slope * ab(i / 8, i % 8), values[i], 5e-3 * Math.max(1, Math.abs(ab(i / 8, i % 8))));
            }
        }
    }

    /** It says no, and does nothing, rather than pass on what cublasLt does not take. */
    @Test
    void refusesWhatIsNotAligned() {
        try (CudaDevice device = TestDevice.open(); Arena arena = Arena.ofConfined()) {
            MemorySegment c = CudaDeviceTest.upload(device, arena, new float[17]);
            MemorySegment saved = CudaDeviceTest.upload(device, arena, new float[32]);
            Finish stride = new Finish(Epilogue.GELU, MemorySegment.NULL, saved, 9);
            assertFalse(device.cublasLt().multiply(product(device, arena, c, false), stride));
            Finish address = new Finish(Epilogue.GELU, MemorySegment.NULL, saved.asSlice(4), 8);
            assertFalse(device.cublasLt().multiply(product(device, arena, c, false), address));
            Finish fine = new Finish(Epilogue.GELU, MemorySegment.NULL, saved, 8);
            assertFalse(device.cublasLt().multiply(product(device, arena, c.asSlice(4), false), fine));
            assertArrayEquals(new float[17], CudaDeviceTest.floats(device, c));
        }
    }
}

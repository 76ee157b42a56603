package obsprop.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import obsprop.cuda.emulator.Emulator;
import obsprop.cuda.emulator.TestDevice;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Memory, copies, launches and products of the device facade, and what becomes of injected faults. */
class CudaDeviceTest {
    @AfterEach
    void nothingIsLeaked() {
        requireNothingLeft();
    }

    static void requireNothingLeft() {
        if (!TestDevice.mustBeReal()) {
            Emulator emulator = TestDevice.emulator();
            assertEquals(0, emulator.liveAllocations(), "live allocations");
            assertEquals(0, emulator.liveObjects(), "live objects");
            assertEquals(0, emulator.damagedAllocations(), "damaged allocations");
        }
    }

    static float[] floats(CudaDevice device, MemorySegment segment) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment host = arena.allocate(segment.byteSize());
            device.stream().download(segment, host);
            device.stream().synchronize();
            return host.toArray(ValueLayout.JAVA_FLOAT);
        }
    }

    static MemorySegment upload(CudaDevice device, Arena arena, float... values) {
        MemorySegment target = device.allocate(values.length * 4L, arena);
        device.stream().upload(arena.allocateFrom(ValueLayout.JAVA_FLOAT, values), target);
        return target;
    }

    @Test
    void memoryLivesAsLongAsItsArena() {
        try (CudaDevice device = TestDevice.open()) {
            System.out.println(device.description().describe() + ", cuBLAS " + device.cublas().version());
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment a = upload(device, arena, 1, 2, 3, 4, 5);
                MemorySegment b = device.allocate(20, arena);
                device.stream().clear(b);
                device.stream().copy(a.asSlice(8, 8), b.asSlice(4, 8));
                assertEquals(2, device.liveAllocations());
                assertArrayEquals(new float[] {0, 3, 4, 0, 0}, floats(device, b));
            }
            assertEquals(0, device.liveAllocations());
        }
    }

    @Test
    void launchesKernels() {
        try (CudaDevice device = TestDevice.open(); Arena arena = Arena.ofConfined()) {
            MemorySegment x = upload(device, arena, 3, -1, 0.5f);
            KernelArguments arguments = new KernelArguments(arena).add(3f);
            arguments.struct().add(x).add(0L).add(0L).add(3L).add(0).add(0).end().add(3);
            device.module().function("softCap").launch(device, new CudaFunction.Grid(1, 32), arguments);
            float[] y = floats(device, x);
            assertEquals(3 * Math.tanh(1), y[0], 1e-6);
            assertEquals(3 * Math.tanh(0.5 / 3), y[2], 1e-6);
        }
    }

    @Test
    void multipliesRowMajorMatrices() {
        try (CudaDevice device = TestDevice.open(); Arena arena = Arena.ofConfined()) {
            Cublas.Operand a = new Cublas.Operand(upload(device, arena, 1, 2, 3, 4, 5, 6), 3, false); // [2,3]
            Cublas.Operand b = new Cublas.Operand(upload(device, arena, 1, 0, 2, 0, 1, 1), 3, true); // [2,3], as [3,2]
            MemorySegment c = upload(device, arena, 100, 100, 100, 100);
            Cublas.Size size = new Cublas.Size(2, 2, 3);
            device.cublas().gemm(CudaPrecision.FP32, size, a, b, new Cublas.Operand(c, 2, false), true);
            assertArrayEquals(new float[] {107, 105, 116, 111}, floats(device, c));
        }
    }

    /** Two products that share their right operand and are written side by side into one matrix. */
    @Test
    void multipliesInBatches() {
        try (CudaDevice device = TestDevice.open(); Arena arena = Arena.ofConfined()) {
            Cublas.Operand a = new Cublas.Operand(upload(device, arena, 1, 2, 3, 4, 5, 6, 7, 8), 2, false); // 2 of [2,2]
            Cublas.Operand b = new Cublas.Operand(upload(device, arena, 1, 0, 2, 1), 2, false); // [2,2]
            MemorySegment c = upload(device, arena, 0, 0, 0, 0, 10, 10, 10, 10);
            Cublas.Batch batch = new Cublas.Batch(2, 4, 0, 2);
            Cublas.Size size = new Cublas.Size(2, 2, 2);
            device.cublas().gemmBatched(CudaPrecision.FP32, size, a, b, new Cublas.Operand(c, 4, false), batch, true);
            assertArrayEquals(new float[] {5, 2, 17, 6, 21, 14, 33, 18}, floats(device, c));
        }
    }

    @Test
    void batchesAreBoundedAndKeptApart() {
        TestDevice.emulator();
        try (CudaDevice device = TestDevice.open(); Arena arena = Arena.ofConfined()) {
            Cublas.Operand x = new Cublas.Operand(upload(device, arena, new float[8]), 2, false);
            Cublas.Operand y = new Cublas.Operand(upload(device, arena, new float[8]), 2, false);
            Cublas.Size size = new Cublas.Size(2, 2, 2);
            List<Cublas.Batch> wrong = List.of(new Cublas.Batch(3, 4, 0, 0), new Cublas.Batch(2, 5, 0, 4),
                    new Cublas.Batch(2, 4, -1, 4), new Cublas.Batch(2, 4, 4, 3));
            for (Cublas.Batch batch : wrong) {
                assertThrows(CudaException.class,
                        () -> device.cublas().gemmBatched(CudaPrecision.FP32, size, x, x, y, batch, false));
            }
        }
    }

    @Test
    void outOfMemoryIsOneClearError() {
        Emulator emulator = TestDevice.emulator();
        try (CudaDevice device = TestDevice.open(); Arena arena = Arena.ofConfined()) {
            emulator.limitMemory(1 << 20);
            device.allocate(1 << 19, arena);
            CudaException e = assertThrows(CudaException.class, () -> device.allocate(1 << 20, arena));
            assertTrue(e.getMessage().contains("1.0 MiB asked for, 512.0 KiB free"), e.getMessage());
            device.allocate(1 << 18, arena);
        }
    }

    @Test
    void failedLaunchShowsWhenSynchronised() {
        Emulator emulator = TestDevice.emulator();
        try (CudaDevice device = TestDevice.open(); Arena arena = Arena.ofConfined()) {
            MemorySegment x = upload(device, arena, 1);
            emulator.failLaunch(1);
            KernelArguments arguments = new KernelArguments(arena).add(1f);
            arguments.struct().add(x).add(0L).add(0L).add(1L).add(0).add(0).end().add(1);
            device.module().function("softCap").launch(device, new CudaFunction.Grid(1, 32), arguments);
            CudaException e = assertThrows(CudaException.class, () -> device.stream().synchronize());
            assertTrue(e.getMessage().contains("CUDA_ERROR_LAUNCH_FAILED"), e.getMessage());
            assertThrows(CudaException.class, () -> device.allocate(4, arena));
        }
    }

    @Test
    void resultsNeedSynchronisation() {
        TestDevice.emulator();
        try (CudaDevice device = TestDevice.open(); Arena arena = Arena.ofConfined()) {
            MemorySegment x = upload(device, arena, 7);
            MemorySegment host = arena.allocate(4);
            device.stream().download(x, host);
            assertEquals(0, host.get(ValueLayout.JAVA_FLOAT, 0), "the emulator's streams must be deferred");
            device.stream().synchronize();
            assertEquals(7, host.get(ValueLayout.JAVA_FLOAT, 0));
        }
    }

    @Test
    void memoryIsPoisonedAndCopiesAreBounded() {
        TestDevice.emulator();
        try (CudaDevice device = TestDevice.open(); Arena arena = Arena.ofConfined()) {
            MemorySegment x = device.allocate(4, arena);
            assertEquals(0xCDCDCDCD, Float.floatToRawIntBits(floats(device, x)[0]));
            MemorySegment beyond = MemorySegment.ofAddress(x.address() + 4);
            Cublas.Operand a = new Cublas.Operand(beyond, 1, false);
            Cublas.Size size = new Cublas.Size(1, 1, 1);
            assertThrows(CudaException.class, () -> device.cublas().gemm(CudaPrecision.FP32, size, a, a, a, false));
        }
    }

    /** The emulator must see a kernel that writes past its memory, or its silence would mean nothing. */
    @Test
    void writingPastAnAllocationShows() {
        Emulator emulator = TestDevice.emulator();
        try (CudaDevice device = TestDevice.open(); Arena arena = Arena.ofConfined()) {
            MemorySegment x = upload(device, arena, 1, 2);
            KernelArguments arguments = new KernelArguments(arena).add(1f);
            arguments.struct().add(x).add(0L).add(0L).add(3L).add(0).add(0).end().add(3);
            device.module().function("softCap").launch(device, new CudaFunction.Grid(1, 32), arguments);
            device.stream().synchronize();
        }
        assertEquals(1, emulator.damagedAllocations());
        emulator.reset();
    }

    @Test
    void whatIsNotReleasedIsCounted() {
        Emulator emulator = TestDevice.emulator();
        try (CudaDevice device = TestDevice.open(); Arena arena = Arena.ofConfined()) {
            device.allocate(8, arena);
            device.allocate(8, arena);
            assertEquals(2, emulator.liveAllocations());
            assertEquals(5, emulator.liveObjects(), "context, stream, module, cuBLAS and cublasLt handles");
        }
    }

    @Test
    void unknownKernel() {
        try (CudaDevice device = TestDevice.open()) {
            CudaException e = assertThrows(CudaException.class, () -> device.module().function("nosuch"));
            assertTrue(e.getMessage().contains("nosuch"), e.getMessage());
        }
    }
}

package obsprop.cuda;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.function.LongConsumer;
import obsprop.cuda.emulator.Emulator;
import obsprop.cuda.emulator.TestDevice;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Graphs, events and a second stream. */
class CudaGraphTest {
    @AfterEach
    void nothingIsLeaked() {
        CudaDeviceTest.requireNothingLeft();
    }

    /** {@code x <- 2 tanh(x / 2)}. */
    private static void cap(CudaDevice device, Arena arena, MemorySegment x) {
        KernelArguments arguments = new KernelArguments(arena).add(2f);
        arguments.struct().add(x).add(0L).add(0L).add(1L).add(0).add(0).end().add(1);
        device.module().function("softCap").launch(device, new CudaFunction.Grid(1, 32), arguments);
    }

    @Test
    void replaysOnNewValues() {
        try (CudaDevice device = TestDevice.open(); Arena arena = Arena.ofConfined()) {
            MemorySegment x = device.allocate(4, arena);
            MemorySegment y = device.allocate(4, arena);
            try (CudaGraph graph = CudaGraph.capture(device, () -> {
                device.stream().copy(x, y);
                cap(device, arena, y);
            })) {
                for (float value : new float[] {1, -3}) {
                    device.stream().upload(arena.allocateFrom(ValueLayout.JAVA_FLOAT, value), x);
                    graph.launch();
                    assertEquals(2 * Math.tanh(value / 2), CudaDeviceTest.floats(device, y)[0], 1e-6);
                }
            }
        }
    }

    @Test
    void whatCannotBeRecordedIsAnErrorAndTheStreamGoesOn() {
        try (CudaDevice device = TestDevice.open(); Arena arena = Arena.ofConfined()) {
            MemorySegment x = CudaDeviceTest.upload(device, arena, 5);
            Runnable waits = () -> device.stream().synchronize();
            Runnable allocates = () -> device.allocate(4, arena);
            for (Runnable work : new Runnable[] {waits, allocates}) {
                assertThrows(CudaException.class, () -> CudaGraph.capture(device, work));
                assertArrayEquals(new float[] {5}, CudaDeviceTest.floats(device, x));
            }
        }
    }

    @Test
    void memoryFreedMeanwhileIsFreedAfterwards() {
        try (CudaDevice device = TestDevice.open(); Arena arena = Arena.ofConfined()) {
            MemorySegment x = CudaDeviceTest.upload(device, arena, 5);
            Arena other = Arena.ofConfined();
            device.allocate(8, other);
            CudaGraph.capture(device, () -> {
                other.close();
                cap(device, arena, x);
            }).close();
            assertEquals(1, device.liveAllocations());
        }
    }

    private static String fault(LongConsumer fault) {
        try (CudaDevice device = TestDevice.open(); Arena arena = Arena.ofConfined()) {
            MemorySegment x = CudaDeviceTest.upload(device, arena, 5);
            fault.accept(1);
            try (CudaGraph graph = CudaGraph.capture(device, () -> cap(device, arena, x))) {
                graph.launch();
                device.stream().synchronize();
                return "none";
            } catch (CudaException e) {
                return e.getMessage();
            }
        }
    }

    @Test
    void faultsAreOneClearError() {
        Emulator emulator = TestDevice.emulator();
        String memory = fault(emulator::failAllocation);
        assertTrue(memory.startsWith("preparing a CUDA graph failed") && memory.contains("OUT_OF_MEMORY"), memory);
        String launch = fault(emulator::failLaunch);
        assertTrue(launch.contains("CUDA_ERROR_LAUNCH_FAILED"), launch);
    }

    /** Copies on one stream, and reads on another what arrived, twice through the same memory. */
    @Test
    void eventsOrderStreams() {
        try (CudaDevice device = TestDevice.open(); Arena arena = Arena.ofConfined()) {
            MemorySegment x = device.allocate(4, arena);
            MemorySegment sums = CudaDeviceTest.upload(device, arena, 0, 0);
            device.stream().synchronize();
            CudaStream copies = device.newStream();
            CudaEvent arrived = device.newEvent();
            CudaEvent used = device.newEvent();
            for (int i = 0; i < 2; i++) {
                used.holdBack(copies);
                copies.upload(arena.allocateFrom(ValueLayout.JAVA_FLOAT, 3f + i), x);
                arrived.record(copies);
                arrived.holdBack(device.stream());
                device.stream().copy(x, sums.asSlice(4L * i, 4));
                used.record(device.stream());
            }
            assertArrayEquals(new float[] {3, 4}, CudaDeviceTest.floats(device, sums));
        }
    }

    /** The emulator reads page-locked memory when the copy runs: who writes to it too early sees it. */
    @Test
    void pageLockedMemoryIsReadLater() {
        TestDevice.emulator();
        try (CudaDevice device = TestDevice.open(); Arena arena = Arena.ofConfined()) {
            MemorySegment host = device.allocatePinned(4, arena);
            MemorySegment x = device.allocate(4, arena);
            CudaEvent copied = device.newEvent();
            host.set(ValueLayout.JAVA_FLOAT, 0, 1);
            device.stream().upload(host, x);
            host.set(ValueLayout.JAVA_FLOAT, 0, 2);
            copied.record(device.stream());
            copied.synchronize();
            host.set(ValueLayout.JAVA_FLOAT, 0, 3);
            assertArrayEquals(new float[] {2}, CudaDeviceTest.floats(device, x));
        }
    }
}

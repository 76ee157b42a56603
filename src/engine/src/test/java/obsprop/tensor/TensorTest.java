package obsprop.tensor;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.junit.jupiter.api.Test;

/** What a tensor refuses to be made of. */
class TensorTest {
    @Test
    void memoryOnTheHeapIsRefused() {
        MemorySegment heap = MemorySegment.ofArray(new float[6]);
        Exception refused = assertThrows(
                IllegalArgumentException.class, () -> Tensor.of(heap, DType.F32, Place.HOST, 2, 3));
        assertEquals("a tensor's memory lies off the heap; copy the array with Tensor.ofFloats", refused.getMessage());
    }

    @Test
    void tooLittleMemoryIsRefused() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment five = arena.allocate(20);
            Exception refused = assertThrows(
                    IllegalArgumentException.class, () -> Tensor.of(five, DType.F32, Place.HOST, 2, 3));
            assertEquals("segment of 20 bytes cannot hold F32[2, 3], which needs 24", refused.getMessage());
        }
    }

    @Test
    void slicesBySteps() {
        try (Arena arena = Arena.ofConfined()) {
            Tensor x = Tensor.ofFloats(arena, new float[] {0, 1, 10, 11, 20, 21, 30, 31, 40, 41}, 5, 2);
            assertArrayEquals(new float[] {10, 11, 30, 31}, x.slice(0, 1, 5, 2).toFloats());
            assertArrayEquals(new float[] {20, 21}, x.slice(0, 2, 4, 3).toFloats());
            assertArrayEquals(new float[] {31}, x.slice(0, 1, 5, 2).slice(0, 1, 2).slice(1, 1, 2).toFloats());
            assertEquals(0, x.slice(0, 3, 2, 2).size(0));
        }
    }
}

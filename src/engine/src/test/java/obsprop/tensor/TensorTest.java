package obsprop.tensor;

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
}

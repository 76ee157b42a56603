package obsprop.kernel.cpu;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * Off-heap buffers that one participant of a call owns while it works; they grow to the largest size asked for and stay.
 * Their contents are garbage on entry. Operations that nest use different slots.
 */
final class Scratch {
    /** Buffer slots, one for each simultaneous use. */
    enum Slot {
        PACK,
        TILE,
        RESULT,
        SQUARE,
        WIDENED,
        GATHERED,
        SCORES,
        COTANGENTS,
        FACTORS,
        ROW,
        ROW2,
        ARGUMENT,
        EXPONENTIAL
    }

    /** Operands of the block products that tasks run, reused from call to call. */
    final Matrix a = new Matrix();

    final Matrix b = new Matrix();
    final Matrix c = new Matrix();
    /** The call of {@link RowsTimesRows} that {@link Slot#PACK} was packed for. */
    long packedFor;
    private final MemorySegment[] buffers = new MemorySegment[Slot.values().length];

    Scratch() {
        for (int i = 0; i < buffers.length; i++) {
            buffers[i] = MemorySegment.NULL;
        }
    }

    /** At least {@code floats} floats and one vector more, aligned to a cache line. */
    MemorySegment floats(Slot slot, long floats) {
        MemorySegment have = buffers[slot.ordinal()];
        long bytes = floats * Float.BYTES + Lanes.BYTES;
        return have.byteSize() >= bytes ? have : grow(slot, bytes);
    }

    /** What all buffers take. */
    long bytes() {
        long sum = 0;
        for (MemorySegment buffer : buffers) {
            sum += buffer.byteSize();
        }
        return sum;
    }

    private MemorySegment grow(Slot slot, long bytes) {
        // An automatic arena: freed when the kernels are, and open to every thread.
        MemorySegment grown = Arena.ofAuto().allocate(bytes + bytes / 4, 64);
        buffers[slot.ordinal()] = grown;
        return grown;
    }
}

package obsprop.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** Memory of mapped files under the class of plain native memory. */
public final class PlainMemory {
    private PlainMemory() {}

    /**
     * The same bytes, not as a mapped segment: a loop whose segments are of two classes keeps its bounds checks and runs
     * at half speed.
     *
     * @param arena the arena that {@code mapped} lives in; nothing else would be safe
     * @return {@code mapped} itself where it is plain already or lives elsewhere
     */
    public static MemorySegment of(MemorySegment mapped, Arena arena) {
        if (!mapped.isMapped() || !mapped.scope().equals(arena.scope())) {
            return mapped;
        }
        MemorySegment plain = MemorySegment.ofAddress(mapped.address()).reinterpret(mapped.byteSize(), arena, unused -> {});
        return mapped.isReadOnly() ? plain.asReadOnly() : plain;
    }
}

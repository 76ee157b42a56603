package obsprop.kernel.cpu;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** An arena, open to all threads, whose large tensors lie side by side in {@link HugePages}, where the system has them. */
final class Slabs implements Arena {
    /**
     * Bytes in an arena that are worth it: the first calls of native code take a program 80 milliseconds. All or nothing: passes of 16
     * tokens whose tensors lay partly in huge pages were slower than with all or none of them.
     */
    private static final long MANY = 64L << 20;
    /** Bytes of a large tensor. */
    private static final long LARGE = 1L << 16;
    /** Bytes of a slab, unless one tensor takes more; what is never touched of it takes no memory of the machine. */
    private static final long SLAB = 32L << 20;

    private final Arena arena = Arena.ofShared();
    private MemorySegment slab = MemorySegment.NULL;
    private long used;

    /** Whether an arena for about so many bytes should be one of these. */
    static boolean serve(long bytes) {
        return bytes >= MANY && HugePages.exist();
    }

    @Override
    public MemorySegment allocate(long bytes, long alignment) {
        return bytes < LARGE || alignment > HugePages.SIZE ? arena.allocate(bytes, alignment) : large(bytes, alignment);
    }

    private synchronized MemorySegment large(long bytes, long alignment) {
        if (!arena.scope().isAlive()) {
            throw new IllegalStateException("the arena is closed");
        }
        long at = Math.ceilDiv(used, alignment) * alignment;
        if (at + bytes > slab.byteSize()) {
            var next = HugePages.allocate(arena, Math.ceilDiv(Math.max(bytes, SLAB), HugePages.SIZE) * HugePages.SIZE);
            if (next.isEmpty()) {
                return arena.allocate(bytes, alignment);
            }
            slab = next.get();
            at = 0;
        }
        used = at + bytes;
        return slab.asSlice(at, bytes);
    }

    @Override
    public MemorySegment.Scope scope() {
        return arena.scope();
    }

    @Override
    public void close() {
        arena.close();
    }
}

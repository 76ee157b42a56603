package obsprop.kernel.cpu;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Memory of Linux in huge pages, by three calls of its C library. Activations of a pass are hundreds of megabytes that are touched once or twice
 * each: in pages of 4 KiB, finding the page takes longer than some of the work, and so does the first touch, which is an arena's zeroing.
 * Other systems, and JVMs that allow no native code, have none.
 */
final class HugePages {
    /** Bytes of a huge page, on x86-64 and mostly on AArch64; where it is another, the system uses small ones. */
    static final long SIZE = 2L << 20;

    // As Linux's sys/mman.h has them on both.
    private static final int PROT_READ_WRITE = 3;
    private static final int MAP_PRIVATE_ANONYMOUS = 0x22;
    private static final int MADV_HUGEPAGE = 14;
    private static final long MAP_FAILED = -1;

    private static final Optional<HugePages> OF_SYSTEM = find();
    /** What is mapped: no more than the JVM's own limit for memory off the heap, unless that is set otherwise. */
    private static final AtomicLong MAPPED = new AtomicLong();

    private final MethodHandle mmap;
    private final MethodHandle madvise;
    private final MethodHandle munmap;

    private HugePages(Linker linker) {
        // Addresses as numbers: the JVM links that in less time.
        MemoryLayout size = ValueLayout.JAVA_LONG;
        MemoryLayout number = ValueLayout.JAVA_INT;
        mmap = link(linker, "mmap", FunctionDescriptor.of(size, size, size, number, number, number, size));
        madvise = link(linker, "madvise", FunctionDescriptor.of(number, size, size, number));
        munmap = link(linker, "munmap", FunctionDescriptor.of(number, size, size));
    }

    @SuppressWarnings("restricted") // calls native code, where the JVM allows it without a warning
    private static MethodHandle link(Linker linker, String name, FunctionDescriptor descriptor) {
        SymbolLookup library = linker.defaultLookup();
        return linker.downcallHandle(library.findOrThrow(name), descriptor);
    }

    private static Optional<HugePages> find() {
        boolean allowed = HugePages.class.getModule().isNativeAccessEnabled();
        boolean linux = System.getProperty("os.name").equals("Linux") && ValueLayout.ADDRESS.byteSize() == Long.BYTES;
        return allowed && linux ? Optional.of(new HugePages(Linker.nativeLinker())) : Optional.empty();
    }

    static boolean exist() {
        return OF_SYSTEM.isPresent();
    }

    /** Zeroed memory at a multiple of {@link #SIZE}, freed with {@code arena}; nothing where there is none to be had. */
    static Optional<MemorySegment> allocate(Arena arena, long bytes) {
        return OF_SYSTEM.flatMap(pages -> pages.map(arena, bytes));
    }

    @SuppressWarnings("restricted") // address and size are those that the system gave
    private Optional<MemorySegment> map(Arena arena, long bytes) {
        // Up to the first multiple of SIZE nothing is ever touched, so nothing is taken.
        long mapped = bytes + SIZE;
        boolean within = MAPPED.addAndGet(mapped) <= Runtime.getRuntime().maxMemory();
        long address = within ? call(() -> (long) mmap.invokeExact(0L, mapped, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0L)) : MAP_FAILED;
        if (address == MAP_FAILED) {
            MAPPED.addAndGet(-mapped);
            return Optional.empty();
        }
        MemorySegment all = MemorySegment.ofAddress(address).reinterpret(mapped, arena, this::unmap);
        long start = Math.ceilDiv(address, SIZE) * SIZE;
        // A system without huge pages refuses, and the memory is as good as any.
        call(() -> (int) madvise.invokeExact(start, bytes, MADV_HUGEPAGE));
        return Optional.of(all.asSlice(start - address, bytes));
    }

    private void unmap(MemorySegment all) {
        call(() -> (int) munmap.invokeExact(all.address(), all.byteSize()));
        MAPPED.addAndGet(-all.byteSize());
    }

    private interface Call {
        long run() throws Throwable;
    }

    /** Calls of the C library throw nothing. */
    private static long call(Call call) {
        try {
            return call.run();
        } catch (RuntimeException | Error e) {
            throw e;
        } catch (Throwable e) {
            throw new IllegalStateException(e);
        }
    }
}

package obsprop.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;

/**
 * The arguments of a launch, in the layout that C gives them. Reused: {@link #clear} starts the next launch. A struct
 * argument is opened by {@link #struct}, its members follow until the next argument begins.
 */
public final class KernelArguments {
    private static final int MAX_ARGUMENTS = 16;
    private static final int MAX_BYTES = 1024;

    private final MemorySegment values;
    private final MemorySegment pointers;
    /** Keeps memory of automatic arenas from being collected between here and the launch. */
    private final List<MemorySegment> used = new ArrayList<>();
    private int bytes;
    private int count;
    private boolean inStruct;

    public KernelArguments(Arena arena) {
        values = arena.allocate(MAX_BYTES, Long.BYTES);
        pointers = arena.allocate(ValueLayout.ADDRESS, MAX_ARGUMENTS);
    }

    /** Forgets all arguments. */
    public KernelArguments clear() {
        bytes = 0;
        count = 0;
        inStruct = false;
        used.clear();
        return this;
    }

    /** Begins an argument of struct type, of 8-byte alignment. */
    public KernelArguments struct() {
        begin();
        inStruct = true;
        return this;
    }

    /** Ends the struct. */
    public KernelArguments end() {
        inStruct = false;
        return this;
    }

    /** An {@code int}. */
    public KernelArguments add(int value) {
        values.set(ValueLayout.JAVA_INT, place(Integer.BYTES), value);
        return this;
    }

    /** A {@code long long}. */
    public KernelArguments add(long value) {
        values.set(ValueLayout.JAVA_LONG, place(Long.BYTES), value);
        return this;
    }

    /** A {@code float}. */
    public KernelArguments add(float value) {
        values.set(ValueLayout.JAVA_FLOAT, place(Float.BYTES), value);
        return this;
    }

    /** A pointer to device memory. */
    public KernelArguments add(MemorySegment device) {
        used.add(device);
        return add(device.address());
    }

    private int place(int size) {
        if (!inStruct) {
            begin();
        }
        int at = (bytes + size - 1) / size * size;
        bytes = at + size;
        return at;
    }

    private void begin() {
        bytes = (bytes + Long.BYTES - 1) / Long.BYTES * Long.BYTES;
        pointers.setAtIndex(ValueLayout.ADDRESS, count++, values.asSlice(bytes));
    }

    List<MemorySegment> used() {
        return used;
    }

    MemorySegment pointers() {
        return pointers;
    }
}

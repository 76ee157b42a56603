package obsprop.kernel.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.Optional;
import obsprop.cuda.CudaDevice;
import obsprop.tensor.DType;

/** Integers for a kernel, uploaded only when they differ from the last: every layer of a pass sends the same. */
final class IntTable implements AutoCloseable {
    private final CudaDevice device;
    private final Scratch scratch;
    private int[] sent = {};

    IntTable(CudaDevice device) {
        this.device = device;
        scratch = new Scratch(device);
    }

    /** Where the values lie on the device, until the next call; in work that is replayed, as long as that. */
    MemorySegment upload(int[] values) {
        Optional<MemorySegment> recorded = device.recorder().table(values);
        return recorded.isPresent() ? recorded.get() : send(values);
    }

    private MemorySegment send(int[] values) {
        boolean known = Arrays.equals(values, sent);
        if (!known) {
            sent = new int[0]; // until the new values have arrived
        }
        MemorySegment target = scratch.take(DType.I32, values.length).segment().asSlice(0, 4L * values.length);
        if (!known) {
            try (Arena arena = Arena.ofConfined()) {
                device.stream().upload(arena.allocateFrom(ValueLayout.JAVA_INT, values), target);
            }
            sent = values.clone();
        }
        return target;
    }

    @Override
    public void close() {
        scratch.close();
    }
}

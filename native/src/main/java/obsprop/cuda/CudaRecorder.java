package obsprop.cuda;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** What a device records at the moment, and when its earlier records have become useless. */
public final class CudaRecorder {
    private Optional<CudaReplay> replay = Optional.empty();
    private List<MemorySegment> used = new ArrayList<>();
    private boolean capturing;
    private long generation;

    CudaRecorder() {}

    /** To be called by whoever frees memory that a graph may use without being told, such as scratch. */
    public synchronized void memoryMoved() {
        generation++;
    }

    synchronized long generation() {
        return generation;
    }

    /** Runs work whose tables of integers are those of {@code owner}. */
    void run(CudaReplay owner, Runnable work) {
        replay = Optional.of(owner);
        try {
            work.run();
        } finally {
            replay = Optional.empty();
        }
    }

    /**
     * Where the values lie on the device when the work that runs is being replayed: uploaded before each launch from the
     * same array. Empty otherwise.
     */
    public Optional<MemorySegment> table(int[] values) {
        return replay.map(owner -> owner.table(values));
    }

    synchronized void begin() {
        capturing = true;
        used = new ArrayList<>();
    }

    synchronized void end() {
        capturing = false;
    }

    synchronized boolean capturing() {
        return capturing;
    }

    /** Keeps what a recorded launch uses from being collected, as long as its graph. */
    synchronized void use(List<MemorySegment> arguments) {
        if (capturing) {
            used.addAll(arguments);
        }
    }

    synchronized List<MemorySegment> used() {
        return used;
    }
}

package obsprop.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;

/**
 * Work that runs again and again with the same memory: as it is the first times, then recorded as a graph and launched.
 * Arrays of integers that it hands to {@link CudaRecorder#table} are read again at every run: change them in place. Where it
 * cannot be recorded it goes on running as it is, and {@link #refusal} says why. To be closed before the device.
 */
public final class CudaReplay implements AutoCloseable {
    private final CudaDevice device;
    private final Runnable work;
    private final List<Table> tables = new ArrayList<>();
    private Arena arena = Arena.ofShared();
    private Stage stage = Stage.PLAIN;
    private int next;
    private long generation;
    private Optional<CudaGraph> graph = Optional.empty();
    private Optional<String> refusal = Optional.empty();

    /** What the next run does. */
    private enum Stage {
        /** Runs the work: it may be the only run. */
        PLAIN,
        /** Runs it once more, making its tables, and so that all it needs is there. */
        LIST,
        CAPTURE,
        LAUNCH
    }

    /** @param work does the same each time */
    public CudaReplay(CudaDevice device, Runnable work) {
        this.device = device;
        this.work = work;
    }

    /** Integers on the device, and where they come from. */
    private static final class Table {
        private final int[] source;
        private final MemorySegment target;
        private int[] sent = {};

        Table(int[] source, MemorySegment target) {
            this.source = source;
            this.target = target;
        }

        void update(CudaStream stream) {
            if (!Arrays.equals(source, sent)) {
                try (Arena local = Arena.ofConfined()) {
                    stream.upload(local.allocateFrom(ValueLayout.JAVA_INT, source), target);
                }
                sent = source.clone();
            }
        }
    }

    /** Why the work is not recorded, if that was tried in vain. */
    public Optional<String> refusal() {
        return refusal;
    }

    /** Runs the work, or queues what it did. */
    public void run() {
        if (stage == Stage.LAUNCH && generation != device.recorder().generation()) {
            forget(); // some scratch has grown since, and lies elsewhere
            stage = Stage.LIST;
        }
        switch (stage) {
            case PLAIN -> {
                work.run();
                stage = refusal.isPresent() ? Stage.PLAIN : Stage.LIST;
            }
            case LIST -> {
                forget();
                device.recorder().run(this, work);
                stage = Stage.CAPTURE;
            }
            case CAPTURE -> {
                capture();
                run();
            }
            case LAUNCH -> {
                tables.forEach(table -> table.update(device.stream()));
                graph.orElseThrow().launch();
            }
        }
    }

    private void capture() {
        generation = device.recorder().generation();
        next = 0;
        try {
            graph = Optional.of(CudaGraph.capture(device, () -> device.recorder().run(this, work)));
            stage = Stage.LAUNCH;
        } catch (CudaException e) {
            forget();
            refusal = Optional.of(e.getMessage());
            stage = Stage.PLAIN;
        }
    }

    /** The n-th table that the work asks for is the same in every run; an array that it passes again has one table. */
    MemorySegment table(int[] values) {
        if (stage == Stage.CAPTURE) {
            Table table = next < tables.size() ? tables.get(next) : new Table(new int[0], MemorySegment.NULL);
            next++;
            if (table.source != values && !Arrays.equals(table.source, values)) {
                throw new CudaException("the work that is recorded is not what it was the time before");
            }
            return table.target;
        }
        Table table = tables.stream().filter(known -> known.source == values).findFirst()
                .orElseGet(() -> new Table(values, device.allocate(Math.max(1, values.length) * 4L, arena).asSlice(0, values.length * 4L)));
        table.update(device.stream());
        tables.add(table);
        return table.target;
    }

    private void forget() {
        graph.ifPresent(CudaGraph::close);
        graph = Optional.empty();
        tables.clear();
        arena.close();
        arena = Arena.ofShared();
    }

    @Override
    public void close() {
        graph.ifPresent(CudaGraph::close);
        graph = Optional.empty();
        arena.close();
    }
}

package obsprop.bench;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.management.ManagementFactory;
import java.lang.management.ThreadMXBean;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.function.LongSupplier;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/** What this machine could do at this moment: fp32 multiply-adds from registers, and reads of memory, on all threads. */
final class Limits implements AutoCloseable {
    private static final VectorSpecies<Float> F = FloatVector.SPECIES_PREFERRED;
    private static final int ROUNDS = 2_000_000;
    /** The best of some tries: a limit is what nothing disturbed. */
    private static final int TRIES = 3;
    private static final int ACCUMULATORS = 12;
    private static final long BYTES_PER_THREAD = 128L << 20;

    private final int threads;
    private final ExecutorService team;
    private final Arena arena = Arena.ofShared();
    private final MemorySegment memory;
    private volatile float sink;

    Limits(int threads) {
        this.threads = threads;
        team = Executors.newFixedThreadPool(threads);
        memory = arena.allocate(BYTES_PER_THREAD * threads, 64);
        memory.fill((byte) 0);
        for (int i = 0; i < 3; i++) {
            gflops();
            gigabytes();
        }
    }

    /** Nanoseconds: of this thread's CPU time if it works alone, of the wall clock otherwise. */
    static LongSupplier clock(int threads) {
        ThreadMXBean cpu = ManagementFactory.getThreadMXBean();
        return threads == 1 ? cpu::getCurrentThreadCpuTime : System::nanoTime;
    }

    /** GFLOP/s of fused multiply-adds, two operations each. */
    double gflops() {
        double seconds = best(thread -> multiplyAdd());
        return 2.0 * ACCUMULATORS * F.length() * ROUNDS * threads / seconds * 1e-9;
    }

    /** GB/s of sequential reads. */
    double gigabytes() {
        double seconds =
                best(thread -> read(memory.asSlice(thread * BYTES_PER_THREAD, BYTES_PER_THREAD)));
        return BYTES_PER_THREAD * threads / seconds * 1e-9;
    }

    private interface Work {
        float run(int thread);
    }

    private double best(Work work) {
        double seconds = Double.POSITIVE_INFINITY;
        for (int i = 0; i < TRIES; i++) {
            seconds = Math.min(seconds, onAll(work));
        }
        return seconds;
    }

    private double onAll(Work work) {
        LongSupplier clock = clock(threads);
        long start = clock.getAsLong();
        if (threads == 1) {
            sink += work.run(0);
            return (clock.getAsLong() - start) * 1e-9;
        }
        try {
            var tasks = new ArrayList<Callable<Float>>();
            for (int t = 0; t < threads; t++) {
                int thread = t;
                tasks.add(() -> work.run(thread));
            }
            for (var result : team.invokeAll(tasks)) {
                sink += result.get();
            }
        } catch (InterruptedException | ExecutionException e) {
            throw new IllegalStateException(e);
        }
        return (clock.getAsLong() - start) * 1e-9;
    }

    private static float multiplyAdd() {
        FloatVector m = FloatVector.broadcast(F, 0.999f);
        FloatVector a = m, b = m, c = m, d = m, e = m, f = m, g = m, h = m, i = m, j = m, k = m, l = m;
        for (int round = 0; round < ROUNDS; round++) {
            a = a.fma(m, m);
            b = b.fma(m, m);
            c = c.fma(m, m);
            d = d.fma(m, m);
            e = e.fma(m, m);
            f = f.fma(m, m);
            g = g.fma(m, m);
            h = h.fma(m, m);
            i = i.fma(m, m);
            j = j.fma(m, m);
            k = k.fma(m, m);
            l = l.fma(m, m);
        }
        return a.add(b).add(c).add(d).add(e).add(f).add(g).add(h).add(i).add(j).add(k).add(l)
                .reduceLanes(VectorOperators.ADD);
    }

    private static float read(MemorySegment from) {
        FloatVector a = FloatVector.zero(F), b = a, c = a, d = a;
        int bytes = F.vectorByteSize();
        int rounds = (int) (from.byteSize() / (4L * bytes));
        for (int i = 0; i < rounds; i++) {
            long at = 4L * bytes * i;
            a = a.add(FloatVector.fromMemorySegment(F, from, at, ByteOrder.nativeOrder()));
            b = b.add(FloatVector.fromMemorySegment(F, from, at + bytes, ByteOrder.nativeOrder()));
            c = c.add(FloatVector.fromMemorySegment(F, from, at + 2 * bytes, ByteOrder.nativeOrder()));
            d = d.add(FloatVector.fromMemorySegment(F, from, at + 3 * bytes, ByteOrder.nativeOrder()));
        }
        return a.add(b).add(c).add(d).reduceLanes(VectorOperators.ADD);
    }

    @Override
    public void close() {
        team.shutdown();
        arena.close();
    }
}

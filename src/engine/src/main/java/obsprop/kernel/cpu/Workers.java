package obsprop.kernel.cpu;

import java.util.concurrent.Executor;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;

/**
 * A team of threads made once, which runs the numbered chunks of one task at a time; the caller takes part.
 *
 * <p>Chunks are claimed one by one, so who runs which varies; a task writes disjoint outputs per chunk, so its result
 * does not. A caller that finds the team busy runs its chunks itself: several threads of an embedding program never get
 * more than the team plus themselves. Nothing is allocated by a call.
 */
final class Workers implements AutoCloseable {
    /** Work in numbered chunks; {@code run} may be called from any thread, once for each chunk. */
    interface Task {
        void run(int chunk, Scratch scratch);
    }

    /** Polls before a waiting thread parks: about 50 microseconds. */
    private static final int SPINS = 1000;

    private final Pool<Scratch> scratches = new Pool<>(Scratch::new);
    private final AtomicBoolean busy = new AtomicBoolean();
    /** Job number in the high half, chunks not yet claimed in the low half; the last chunk goes first. */
    private final AtomicLong cursor = new AtomicLong();
    private final AtomicInteger unfinished = new AtomicInteger();
    private final AtomicReference<Throwable> failure = new AtomicReference<>();
    private final Runnable help = this::help;
    private final AtomicInteger helping = new AtomicInteger();
    private final Executor executor;
    private final Helper[] team;
    private final int threads;
    private volatile Thread waiter;
    private volatile boolean closed;
    // Written before the cursor's job number moves, read after it: ordered by the cursor.
    private Task task;

    /** A team of {@code threads}, the caller included. */
    Workers(int threads) {
        if (threads < 1) {
            throw new IllegalArgumentException("threads must be at least 1, not " + threads);
        }
        this.threads = threads;
        this.executor = Runnable::run;
        this.team = new Helper[threads - 1];
        for (int i = 0; i < team.length; i++) {
            team[i] = new Helper(i + 1);
            team[i].start();
        }
    }

    /** Borrows up to {@code threads - 1} threads of {@code executor} for each large call. */
    Workers(int threads, Executor executor) {
        if (threads < 1) {
            throw new IllegalArgumentException("threads must be at least 1, not " + threads);
        }
        this.threads = threads;
        this.executor = executor;
        this.team = new Helper[0];
    }

    int threads() {
        return threads;
    }

    /** Runs the chunks of a small task on the calling thread, without a hand-off. */
    void runInline(Task work, int count) {
        Scratch scratch = scratches.take();
        try {
            for (int chunk = 0; chunk < count; chunk++) {
                work.run(chunk, scratch);
            }
        } finally {
            scratches.give(scratch);
        }
    }

    /** Runs chunks 0 to {@code count - 1} and returns when all are done; rethrows the first failure. */
    void run(Task work, int count) {
        if (count <= 1 || threads == 1 || !busy.compareAndSet(false, true)) {
            runInline(work, count);
            return;
        }
        try {
            task = work;
            failure.set(null);
            unfinished.set(count);
            cursor.set((job(cursor.get()) + 1) << 32 | count);
            try {
                callHelpers(Math.min(threads, count) - 1);
            } finally {
                drainWithLent();
                awaitOthers();
            }
            rethrow(failure.get());
        } finally {
            busy.set(false);
        }
    }

    /** A task declares nothing checked. */
    private static void rethrow(Throwable failed) {
        if (failed instanceof Error e) {
            throw e;
        }
        if (failed != null) {
            throw (RuntimeException) failed;
        }
    }

    private void callHelpers(int helpers) {
        if (team.length == 0) {
            try {
                for (int i = 0; i < helpers; i++) {
                    executor.execute(help);
                }
            } catch (RejectedExecutionException e) {
                // Fewer helpers, or none: the caller does what is left.
            }
            return;
        }
        for (int i = 0; i < helpers; i++) {
            team[i].wake();
        }
    }

    /** On a borrowed thread; one that comes late, when its call is over, may find another call with helpers enough. */
    private void help() {
        try {
            if (helping.incrementAndGet() < threads) {
                drainWithLent();
            }
        } finally {
            helping.decrementAndGet();
        }
    }

    private static long job(long cursorValue) {
        return cursorValue >>> 32;
    }

    /** Claims and runs chunks of the current job until none is left. */
    private void drain(Scratch scratch) {
        for (long at = cursor.get(); ; at = cursor.get()) {
            Task work = task;
            int unclaimed = (int) at;
            if (unclaimed == 0) {
                return;
            }
            // Succeeds only while the job is still the one that `work` was read from.
            if (cursor.compareAndSet(at, at - 1)) {
                runChunk(work, unclaimed - 1, scratch);
            }
        }
    }

    /** The same on a thread that has no scratch of its own. */
    private void drainWithLent() {
        Scratch scratch = scratches.take();
        try {
            drain(scratch);
        } finally {
            scratches.give(scratch);
        }
    }

    private void runChunk(Task work, int chunk, Scratch scratch) {
        try {
            work.run(chunk, scratch);
        } catch (RuntimeException | Error e) {
            failure.compareAndSet(null, e);
        } finally {
            if (unfinished.decrementAndGet() == 0) {
                Thread waiting = waiter;
                if (waiting != null) {
                    LockSupport.unpark(waiting);
                }
            }
        }
    }

    private void awaitOthers() {
        for (int spin = 0; spin < SPINS; spin++) {
            if (unfinished.get() == 0) {
                return;
            }
            Thread.onSpinWait();
        }
        waiter = Thread.currentThread();
        while (unfinished.get() != 0) {
            LockSupport.park(this);
        }
        waiter = null;
    }

    /** Ends the team's threads; an executor that was handed in is left alone. */
    @Override
    public void close() {
        closed = true;
        for (Helper helper : team) {
            LockSupport.unpark(helper);
        }
    }

    private final class Helper extends Thread {
        /** Its own, as it lies in this core's caches. */
        private final Scratch scratch = new Scratch();
        private volatile boolean parked;

        Helper(int number) {
            super("obsprop-cpu-" + number);
            setDaemon(true);
        }

        void wake() {
            if (parked) {
                LockSupport.unpark(this);
            }
        }

        @Override
        public void run() {
            long seen = 0;
            while (!closed) {
                long now = job(cursor.get());
                if (now == seen) {
                    awaitAfter(seen);
                } else {
                    seen = now;
                    drain(scratch);
                }
            }
        }

        private void awaitAfter(long seen) {
            for (int spin = 0; spin < SPINS; spin++) {
                if (job(cursor.get()) != seen) {
                    return;
                }
                Thread.onSpinWait();
            }
            parked = true;
            if (job(cursor.get()) == seen && !closed) {
                LockSupport.park(Workers.this);
            }
            parked = false;
        }
    }
}

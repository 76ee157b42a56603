package obsprop.kernel.cpu;

import java.util.ArrayDeque;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Supplier;

/** Objects lent for the length of one call and used again: warmed up, nothing is allocated. */
final class Pool<T> {
    /** One of the free objects, within reach without a lock: small calls notice what a lock costs. */
    private final AtomicReference<T> next = new AtomicReference<>();
    private final ArrayDeque<T> free = new ArrayDeque<>();
    private final Supplier<T> make;

    Pool(Supplier<T> make) {
        this.make = make;
    }

    T take() {
        T item = next.getAndSet(null);
        return item != null ? item : takeLocked();
    }

    private T takeLocked() {
        synchronized (free) {
            if (!free.isEmpty()) {
                return free.pop();
            }
        }
        return make.get();
    }

    void give(T item) {
        if (!next.compareAndSet(null, item)) {
            synchronized (free) {
                free.push(item);
            }
        }
    }
}

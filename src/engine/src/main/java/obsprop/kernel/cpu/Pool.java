package obsprop.kernel.cpu;

import java.util.ArrayDeque;
import java.util.function.Supplier;

/** Objects lent for the length of one call and used again: warmed up, nothing is allocated. */
final class Pool<T> {
    private final ArrayDeque<T> free = new ArrayDeque<>();
    private final Supplier<T> make;

    Pool(Supplier<T> make) {
        this.make = make;
    }

    T take() {
        synchronized (free) {
            if (!free.isEmpty()) {
                return free.pop();
            }
        }
        return make.get();
    }

    void give(T item) {
        synchronized (free) {
            free.push(item);
        }
    }
}

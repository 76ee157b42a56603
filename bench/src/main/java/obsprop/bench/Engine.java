package obsprop.bench;

import java.util.ServiceLoader;

/** A library that can do a benchmark's job; found by its name through {@link ServiceLoader}. */
public interface Engine extends AutoCloseable {
    /** The name for {@code -p engine=}. */
    String name();

    @Override
    void close();

    /** @throws IllegalArgumentException if none that does this job has that name, with the remedy */
    static <E extends Engine> E named(Class<E> job, String name) {
        for (E engine : ServiceLoader.load(job)) {
            if (engine.name().equals(name)) {
                return engine;
            }
        }
        throw new IllegalArgumentException("no engine " + name + ": build with -Ppeers for openblas and libtorch");
    }
}

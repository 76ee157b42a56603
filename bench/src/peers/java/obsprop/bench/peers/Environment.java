package obsprop.bench.peers;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.ValueLayout;

/** Environment variables that libraries loaded afterwards see; Java itself can only set those of a child. */
final class Environment {
    private Environment() {}

    @SuppressWarnings("restricted") // the program that starts this grants native access
    static void set(String name, String value) {
        Linker linker = Linker.nativeLinker();
        var type = FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.ADDRESS, ValueLayout.ADDRESS, ValueLayout.JAVA_INT);
        var setenv = linker.downcallHandle(linker.defaultLookup().findOrThrow("setenv"), type);
        try (Arena arena = Arena.ofConfined()) {
            int failed = (int) setenv.invokeExact(arena.allocateFrom(name), arena.allocateFrom(value), 1);
            if (failed != 0) {
                throw new IllegalStateException("cannot set " + name);
            }
        } catch (Throwable e) {
            throw new IllegalStateException(e);
        }
    }
}

package obsprop.bench;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import obsprop.kernel.Kernels;
import obsprop.tensor.Tensor;

/**
 * Where the time of a device goes: kernels that wait for the device after every operation and add up what each kind and
 * size of operation took. Waiting costs some ten microseconds a call, so the sum is more than the pass takes.
 */
final class OperationTimes {
    private final Kernels kernels;
    private final Runnable synchronize;
    private final Map<String, long[]> times = new HashMap<>();

    OperationTimes(Kernels kernels, Runnable synchronize) {
        this.kernels = kernels;
        this.synchronize = synchronize;
    }

    /** The kernels, timed. */
    Kernels timed() {
        return (Kernels) Proxy.newProxyInstance(
                Kernels.class.getClassLoader(), new Class<?>[] {Kernels.class}, (proxy, method, arguments) -> call(method, arguments));
    }

    private Object call(Method method, Object[] arguments) throws Throwable {
        synchronize.run();
        long start = System.nanoTime();
        try {
            Object result = method.invoke(kernels, arguments);
            synchronize.run();
            return result;
        } catch (InvocationTargetException e) {
            throw e.getCause();
        } finally {
            long[] entry = times.computeIfAbsent(name(method, arguments), _ -> new long[2]);
            entry[0] += System.nanoTime() - start;
            entry[1]++;
        }
    }

    /** The operation; for products also the shapes of its operands. */
    private static String name(Method method, Object[] arguments) {
        if (!method.getName().equals("gemm")) {
            return method.getName();
        }
        Tensor a = (Tensor) arguments[0];
        Tensor b = (Tensor) arguments[2];
        return "gemm " + Arrays.toString(a.shape()) + " " + Arrays.toString(b.shape()) + " " + arguments[3] + " " + arguments[5];
    }

    void forget() {
        times.clear();
    }

    /** The most expensive operations: milliseconds for each of {@code passes}, share of the sum, calls, microseconds a call. */
    void print(int passes) {
        double sum = times.values().stream().mapToDouble(t -> t[0]).sum();
        times.entrySet().stream()
                .sorted((x, y) -> Long.compare(y.getValue()[0], x.getValue()[0]))
                .limit(16)
                .forEach(e -> System.out.printf("    %8.3f ms %5.1f %%  %5d x %8.1f us  %s%n", e.getValue()[0] * 1e-6 / passes,
                        100 * e.getValue()[0] / sum, e.getValue()[1] / passes, e.getValue()[0] * 1e-3 / e.getValue()[1],
                        e.getKey()));
    }
}

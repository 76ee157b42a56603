package obsprop.testing;

import java.util.List;
import java.util.stream.Stream;
import obsprop.kernel.Kernels;
import obsprop.kernel.cpu.WarmKernels;
import obsprop.kernel.scalar.ScalarKernels;

/** The backends that every test of the model runs on. */
public final class Backends {
    private static final List<Kernels> ALL = List.of(ScalarKernels.float32(), ScalarKernels.float64(), WarmKernels.create(2));

    private Backends() {}

    public static Stream<Kernels> all() {
        return ALL.stream();
    }

    /** A short name for test output. */
    public static String label(Kernels kernels) {
        return kernels.getClass().getSimpleName() + " " + kernels.activationType();
    }
}

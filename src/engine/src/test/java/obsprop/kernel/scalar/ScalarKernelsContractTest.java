package obsprop.kernel.scalar;

import obsprop.kernel.Kernels;
import obsprop.kernel.KernelsContract;

/** The 32-bit form against the 64-bit form. */
final class ScalarKernelsContractTest implements KernelsContract {
    @Override
    public Kernels kernels() {
        return ScalarKernels.float32();
    }
}

package obsprop.kernel.cpu;

/** CPU kernels as they are in a program that has run for a while: small tests would end before the first vector. */
public final class WarmKernels {
    private WarmKernels() {}

    /** Kernels over {@code threads} threads that use vectors from their first product on. */
    public static CpuKernels create(int threads) {
        return CpuKernels.warm(new Workers(threads));
    }
}

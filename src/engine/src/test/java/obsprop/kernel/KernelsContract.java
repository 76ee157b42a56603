package obsprop.kernel;

/**
 * Everything that any {@link Kernels} must do, against the scalar kernels in double. A backend's test implements this
 * and supplies its kernels:
 *
 * <pre>{@code
 * final class FastKernelsTest implements KernelsContract {
 *     private static final Kernels KERNELS = new FastKernels();
 *
 *     @Override
 *     public Kernels kernels() {
 *         return KERNELS;
 *     }
 * }
 * }</pre>
 */
@SuppressWarnings("exports")
public interface KernelsContract
        extends MemoryContract, DenseContract, NormContract, AttentionContract, ElementwiseContract {}

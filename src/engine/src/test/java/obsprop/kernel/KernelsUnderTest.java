package obsprop.kernel;

import obsprop.tensor.DType;

/** What the contract tests know of a backend. */
@SuppressWarnings("exports")
public interface KernelsUnderTest {
    DType[] WEIGHT_TYPES = {DType.F32, DType.F16, DType.BF16};
    int[] COTANGENTS = {1, 2, 5};
    int[] WIDTHS = {1, 3, 7, 13, 64, 65, 207};

    /** The kernels under test; the same at every call. */
    Kernels kernels();

    /** Whether the product of a row is the same, to the bit, whatever rows lie beside it: cuBLAS does not promise it. */
    default boolean rowsAreIndependent() {
        return true;
    }
}

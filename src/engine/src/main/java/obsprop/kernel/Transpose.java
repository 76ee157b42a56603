package obsprop.kernel;

/** Whether a GEMM operand is read as it lies or transposed. */
public enum Transpose {
    NO,
    YES
}

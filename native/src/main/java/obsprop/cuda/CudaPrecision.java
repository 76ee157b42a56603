package obsprop.cuda;

/** The arithmetic of matrix products; sums are always kept in fp32, and everything else is computed in fp32. */
public enum CudaPrecision {
    /** True fp32 operands. */
    FP32,
    /** Operands rounded to 10 bits of mantissa inside the tensor cores. */
    TF32,
    /** Operands rounded to bfloat16 (7 bits of mantissa) before the product. */
    BF16
}

package obsprop.tensor;

/** Element types, named as in the safetensors format. Only {@link #F64} to {@link #BF16} take part in arithmetic. */
public enum DType {
    F64(8),
    F32(4),
    F16(2),
    BF16(2),
    I64(8),
    U64(8),
    I32(4),
    U32(4),
    I16(2),
    U16(2),
    I8(1),
    U8(1),
    BOOL(1),
    F8_E4M3(1),
    F8_E5M2(1);

    private final int bytes;

    DType(int bytes) {
        this.bytes = bytes;
    }

    /** Size of one element in bytes. */
    public int bytes() {
        return bytes;
    }

    /** Whether values of this type can be read as real numbers by the kernels: F64, F32, F16 or BF16. */
    public boolean isReal() {
        return this == F64 || this == F32 || this == F16 || this == BF16;
    }
}

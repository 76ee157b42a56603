package obsprop.weights;

import obsprop.tensor.DType;

/** Element types that can be written. */
enum WeightType {
    F32(DType.F32),
    F16(DType.F16),
    BF16(DType.BF16);

    private final DType dtype;

    WeightType(DType dtype) {
        this.dtype = dtype;
    }

    DType dtype() {
        return dtype;
    }
}

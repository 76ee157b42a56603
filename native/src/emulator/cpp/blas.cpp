// cuBLAS on the CPU: column-major matrices, accumulation in fp32.
#include "cuda_shim.h"
#include "emulator.h"
#include <cstdint>

using namespace emulator;

namespace {

const int INVALID = 7, NOT_SUPPORTED = 15;
const int R_32F = 0, R_16BF = 14;
const int COMPUTE_32F = 68, COMPUTE_32F_FAST_TF32 = 77;

struct Handle {
    void *stream;
};

// To nearest even, keeping 10 bits of mantissa: what TF32 does to operands.
float toTf32(float x) {
    unsigned bits = __float_as_uint(x);
    return std::isfinite(x) ? __uint_as_float((bits + 0xFFF + (bits >> 13 & 1)) & ~0x1FFFu) : x;
}

struct Matrix {
    const void *data;
    int type, ld;
    bool transposed, tf32;

    float at(int row, int column) const {
        size_t i = transposed ? column + (size_t) row * ld : row + (size_t) column * ld;
        float x = type == R_16BF ? __uint_as_float((unsigned) ((const uint16_t *) data)[i] << 16) : ((const float *) data)[i];
        return tf32 ? toTf32(x) : x;
    }

    bool valid(int rows, int columns) const {
        int inner = transposed ? columns : rows, outer = transposed ? rows : columns;
        size_t elements = (size_t) (outer - 1) * ld + inner;
        return ld >= inner && withinOneAllocation(data, elements * (type == R_16BF ? 2 : 4));
    }
};

} // namespace

EXPORT int cublasCreate_v2(Handle **handle) {
    std::lock_guard<std::recursive_mutex> locked(lock());
    *handle = new Handle{nullptr};
    countObject(1);
    return 0;
}
EXPORT int cublasDestroy_v2(Handle *handle) {
    std::lock_guard<std::recursive_mutex> locked(lock());
    delete handle;
    countObject(-1);
    return 0;
}
EXPORT int cublasGetVersion_v2(Handle *, int *version) { *version = 130000; return 0; }
EXPORT int cublasSetStream_v2(Handle *handle, void *stream) { handle->stream = stream; return 0; }
EXPORT const char *cublasGetStatusString(int status) {
    return status == INVALID ? "an unsupported value or parameter was passed to the function"
                             : status == NOT_SUPPORTED ? "the requested functionality is not supported" : "emulated";
}
EXPORT int cublasGemmEx(Handle *handle, int opA, int opB, int m, int n, int k, const float *alpha, const void *a,
                        int typeA, int lda, const void *b, int typeB, int ldb, const float *beta, void *c, int typeC,
                        int ldc, int compute, int) {
    std::lock_guard<std::recursive_mutex> locked(lock());
    if (!handle || !isStream(handle->stream) || m < 0 || n < 0 || k < 0) return INVALID;
    if (typeA != typeB || typeC != R_32F || (typeA != R_32F && typeA != R_16BF)) return NOT_SUPPORTED;
    if (compute != COMPUTE_32F && compute != COMPUTE_32F_FAST_TF32) return NOT_SUPPORTED;
    if (!m || !n) return 0;
    bool tf32 = compute == COMPUTE_32F_FAST_TF32 && typeA == R_32F;
    Matrix left{a, typeA, lda, opA != 0, tf32}, right{b, typeB, ldb, opB != 0, tf32};
    Matrix target{c, typeC, ldc, false, false};
    if (!target.valid(m, n) || (k && (!left.valid(m, k) || !right.valid(k, n)))) return INVALID;
    float scale = *alpha, keep = *beta;
    enqueue(handle->stream, [=] {
        for (int j = 0; j < n; j++) {
            for (int i = 0; i < m; i++) {
                float sum = 0;
                for (int l = 0; l < k; l++) sum += left.at(i, l) * right.at(l, j);
                float *at = (float *) c + i + (size_t) j * ldc;
                *at = scale * sum + (keep == 0 ? 0 : keep * *at);
            }
        }
        return SUCCESS;
    });
    return 0;
}

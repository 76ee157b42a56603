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

    size_t width() const { return type == R_16BF ? 2 : 4; }

    // Whether all of a batch lie in one allocation.
    bool valid(int rows, int columns, long long stride, int count) const {
        int inner = transposed ? columns : rows, outer = transposed ? rows : columns;
        size_t elements = (size_t) (outer - 1) * ld + inner + (size_t) (count - 1) * stride;
        return ld >= inner && stride >= 0 && withinOneAllocation(data, elements * width());
    }

    Matrix moved(size_t elements) const { return {(const char *) data + elements * width(), type, ld, transposed, tf32}; }
};

// C = alpha op(A) op(B) + beta C
struct Product {
    int m, n, k;
    float alpha, beta;
    Matrix a, b, c;
    long long strideA, strideB, strideC;
    int count;

    int check() const {
        if (m < 0 || n < 0 || k < 0 || count < 0) return INVALID;
        if (a.type != b.type || c.type != R_32F || (a.type != R_32F && a.type != R_16BF)) return NOT_SUPPORTED;
        if (!m || !n || !count) return 0;
        // products of one batch that write the same elements have no defined result
        bool apart = count == 1 || strideC >= m + (long long) (n - 1) * c.ld || (strideC >= m && c.ld >= strideC * count);
        bool inputs = !k || (a.valid(m, k, strideA, count) && b.valid(k, n, strideB, count));
        return inputs && apart && c.valid(m, n, strideC, count) ? 0 : INVALID;
    }

    Result run() const {
        for (int batch = 0; batch < count; batch++) one(a.moved(batch * strideA), b.moved(batch * strideB), c.moved(batch * strideC));
        return SUCCESS;
    }

    void one(Matrix left, Matrix right, Matrix target) const {
        for (int j = 0; j < n; j++) {
            for (int i = 0; i < m; i++) {
                float sum = 0;
                for (int l = 0; l < k; l++) sum += left.at(i, l) * right.at(l, j);
                float *at = (float *) target.data + i + (size_t) j * target.ld;
                *at = alpha * sum + (beta == 0 ? 0 : beta * *at);
            }
        }
    }
};

int enqueueProduct(Handle *handle, int compute, const Product &product) {
    if (!handle || !isStream(handle->stream)) return INVALID;
    if (compute != COMPUTE_32F && compute != COMPUTE_32F_FAST_TF32) return NOT_SUPPORTED;
    int status = product.check();
    if (!status) enqueue(handle->stream, [product] { return product.run(); });
    return status;
}

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
EXPORT int cublasGemmStridedBatchedEx(Handle *handle, int opA, int opB, int m, int n, int k, const float *alpha,
                                      const void *a, int typeA, int lda, long long strideA, const void *b, int typeB,
                                      int ldb, long long strideB, const float *beta, void *c, int typeC, int ldc,
                                      long long strideC, int count, int compute, int) {
    std::lock_guard<std::recursive_mutex> locked(lock());
    bool tf32 = compute == COMPUTE_32F_FAST_TF32 && typeA == R_32F;
    Matrix left{a, typeA, lda, opA != 0, tf32}, right{b, typeB, ldb, opB != 0, tf32}, target{c, typeC, ldc, false, false};
    return enqueueProduct(handle, compute, {m, n, k, *alpha, *beta, left, right, target, strideA, strideB, strideC, count});
}
EXPORT int cublasGemmEx(Handle *handle, int opA, int opB, int m, int n, int k, const float *alpha, const void *a,
                        int typeA, int lda, const void *b, int typeB, int ldb, const float *beta, void *c, int typeC,
                        int ldc, int compute, int algorithm) {
    return cublasGemmStridedBatchedEx(handle, opA, opB, m, n, k, alpha, a, typeA, lda, 0, b, typeB, ldb, 0, beta, c, typeC,
                                      ldc, 0, 1, compute, algorithm);
}

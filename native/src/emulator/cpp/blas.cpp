// cuBLAS on the CPU.
#include "products.h"

using namespace emulator;

namespace {

struct Handle {
    void *stream;
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
EXPORT int cublasSetWorkspace_v2(Handle *, void *workspace, size_t bytes) {
    std::lock_guard<std::recursive_mutex> locked(lock());
    return (uintptr_t) workspace % 256 || !withinOneAllocation(workspace, bytes) ? INVALID : 0;
}
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

// The part of cublasLt that obsprop calls: one product of fp32 or bfloat16 into fp32, in place, with a bias.
#include "products.h"

using namespace emulator;

namespace {

enum Epilogue { DEFAULT = 1, BIAS = 4 };
const uint64_t MAGIC = 0x0B5920;

struct Description {
    int compute, scale;
    int transA = 0, transB = 0, epilogue = DEFAULT;
    const float *bias = nullptr;
};

struct Layout {
    int type;
    uint64_t rows, columns;
    int64_t ld;
};

struct Preference {
    uint64_t workspace = 0;
    unsigned alignment[4] = {256, 256, 256, 256};
};

// Says what it was found for, so that its use for anything else shows.
struct Algorithm {
    uint64_t magic, workspace, alignment[4], shape, unused;
};

struct Found {
    Algorithm algorithm;
    size_t workspace;
    int state;
    float waves;
    int reserved[4];
};

template <class T> int set(T &field, const void *value, size_t bytes) {
    if (bytes != sizeof field) return INVALID;
    memcpy(&field, value, bytes);
    return 0;
}

int supported(const Description &d, const Layout &a, const Layout &b, const Layout &c) {
    bool types = a.type == b.type && (a.type == R_32F || a.type == R_16BF) && c.type == R_32F && d.scale == R_32F;
    bool compute = d.compute == COMPUTE_32F || (d.compute == COMPUTE_32F_FAST_TF32 && a.type == R_32F);
    if (!types || !compute || (d.epilogue != DEFAULT && d.epilogue != BIAS)) return NOT_SUPPORTED;
    uint64_t m = d.transA ? a.columns : a.rows, k = d.transA ? a.rows : a.columns;
    uint64_t n = d.transB ? b.rows : b.columns, kOfB = d.transB ? b.columns : b.rows;
    return m != c.rows || n != c.columns || k != kOfB || !m || !n || !k ? INVALID : 0;
}

uint64_t shape(const Description &d, const Layout &a, const Layout &b, const Layout &c) {
    uint64_t hash = 17;
    for (uint64_t part : {(uint64_t) d.compute, (uint64_t) d.transA, (uint64_t) d.transB, (uint64_t) d.epilogue,
                          a.rows, a.columns, (uint64_t) a.ld, b.rows, b.columns, (uint64_t) b.ld, c.rows,
                          c.columns, (uint64_t) c.ld}) {
        hash = hash * 1000003 + part;
    }
    return hash;
}

bool aligned(const void *pointer, size_t bytes) { return (uintptr_t) pointer % bytes == 0; }

long biases; // added so far

} // namespace

#define HANDLE_LOCK std::lock_guard<std::recursive_mutex> locked(lock())

EXPORT long emulator_products_with_bias() { HANDLE_LOCK; return biases; }
EXPORT int cublasLtCreate(int **handle) { HANDLE_LOCK; *handle = new int(0); countObject(1); return 0; }
EXPORT int cublasLtDestroy(int *handle) { HANDLE_LOCK; delete handle; countObject(-1); return 0; }
EXPORT int cublasLtMatmulDescCreate(Description **d, int compute, int scale) {
    HANDLE_LOCK;
    *d = new Description{compute, scale};
    countObject(1);
    return 0;
}
EXPORT int cublasLtMatmulDescDestroy(Description *d) { HANDLE_LOCK; delete d; countObject(-1); return 0; }
EXPORT int cublasLtMatmulDescSetAttribute(Description *d, int attribute, const void *value, size_t bytes) {
    switch (attribute) {
        case 3: return set(d->transA, value, bytes);
        case 4: return set(d->transB, value, bytes);
        case 7: return set(d->epilogue, value, bytes);
        case 8: return set(d->bias, value, bytes);
        default: return NOT_SUPPORTED;
    }
}
EXPORT int cublasLtMatrixLayoutCreate(Layout **l, int type, uint64_t rows, uint64_t columns, int64_t ld) {
    HANDLE_LOCK;
    if (ld < (int64_t) rows) return INVALID;
    *l = new Layout{type, rows, columns, ld};
    countObject(1);
    return 0;
}
EXPORT int cublasLtMatrixLayoutDestroy(Layout *l) { HANDLE_LOCK; delete l; countObject(-1); return 0; }
EXPORT int cublasLtMatmulPreferenceCreate(Preference **p) { HANDLE_LOCK; *p = new Preference; countObject(1); return 0; }
EXPORT int cublasLtMatmulPreferenceDestroy(Preference *p) { HANDLE_LOCK; delete p; countObject(-1); return 0; }
EXPORT int cublasLtMatmulPreferenceSetAttribute(Preference *p, int attribute, const void *value, size_t bytes) {
    if (attribute == 1) return set(p->workspace, value, bytes);
    return attribute >= 5 && attribute <= 8 ? set(p->alignment[attribute - 5], value, bytes) : NOT_SUPPORTED;
}
EXPORT int cublasLtMatmulAlgoGetHeuristic(int *handle, const Description *d, const Layout *a, const Layout *b, const Layout *c,
                                          const Layout *target, const Preference *p, int wanted, Found *found, int *count) {
    *count = 0;
    if (!handle || wanted < 1 || memcmp(c, target, sizeof *c)) return INVALID;
    int status = supported(*d, *a, *b, *c);
    if (status) return status;
    uint64_t workspace = std::min<uint64_t>(p->workspace, 1024);
    Algorithm algorithm{MAGIC, workspace, {p->alignment[0], p->alignment[1], p->alignment[2], p->alignment[3]},
                        shape(*d, *a, *b, *c), 0};
    *found = Found{algorithm, (size_t) workspace, 0, 1, {}};
    *count = 1;
    return 0;
}
EXPORT int cublasLtMatmul(int *handle, const Description *d, const float *alpha, const void *a, const Layout *layoutA,
                          const void *b, const Layout *layoutB, const float *beta, const void *c, const Layout *layoutC,
                          void *target, const Layout *layoutD, const Algorithm *algorithm, void *workspace,
                          size_t workspaceBytes, void *stream) {
    HANDLE_LOCK;
    if (!handle || !isStream(stream) || memcmp(layoutC, layoutD, sizeof *layoutC)) return INVALID;
    if (c != target) return NOT_SUPPORTED;
    int status = supported(*d, *layoutA, *layoutB, *layoutC);
    if (status) return status;
    if (algorithm->magic != MAGIC || algorithm->shape != shape(*d, *layoutA, *layoutB, *layoutC)) return INVALID;
    const void *pointers[] = {a, b, c, target};
    for (int i = 0; i < 4; i++) {
        if (!aligned(pointers[i], algorithm->alignment[i])) return INVALID;
    }
    bool room = workspaceBytes >= algorithm->workspace
            && (!algorithm->workspace || (aligned(workspace, 16) && withinOneAllocation(workspace, workspaceBytes)));
    const float *bias = d->epilogue == BIAS ? d->bias : nullptr;
    if (!room || (d->epilogue == BIAS && !withinOneAllocation(bias, layoutC->rows * 4))) return INVALID;
    int m = (int) layoutC->rows, n = (int) layoutC->columns, k = (int) (d->transA ? layoutA->rows : layoutA->columns);
    bool tf32 = d->compute == COMPUTE_32F_FAST_TF32;
    Matrix left{a, layoutA->type, (int) layoutA->ld, d->transA != 0, tf32};
    Matrix right{b, layoutB->type, (int) layoutB->ld, d->transB != 0, tf32};
    Product product{m, n, k, *alpha, *beta, left, right, {target, R_32F, (int) layoutD->ld, false, false}, 0, 0, 0, 1};
    if ((status = product.check())) return status;
    size_t used = algorithm->workspace;
    if (bias) biases++;
    enqueue(stream, [=] {
        memset(workspace, 0xCD, used);
        product.run();
        for (int j = 0; bias && j < n; j++) {
            for (int i = 0; i < m; i++) ((float *) target)[i + (size_t) j * product.c.ld] += bias[i];
        }
        return SUCCESS;
    });
    return 0;
}

// Products of column-major matrices, accumulated in fp32: what blas.cpp and lt.cpp have in common.
#pragma once
#include "cuda_shim.h"
#include "emulator.h"
#include <cstdint>

namespace emulator {

const int INVALID = 7, NOT_SUPPORTED = 15;
const int R_32F = 0, R_16BF = 14;
const int COMPUTE_32F = 68, COMPUTE_32F_FAST_TF32 = 77;

// To nearest even, keeping 10 bits of mantissa: what TF32 does to operands.
inline float toTf32(float x) {
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

} // namespace emulator

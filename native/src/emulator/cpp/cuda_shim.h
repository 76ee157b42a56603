// What kernels.cu needs of CUDA C when g++ compiles it for the emulator: every CUDA thread is a fiber (fibers.cpp).
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>

#define __device__
#define __global__
#define __shared__ static // blocks run one after the other
#define __launch_bounds__(...)

struct EmulatedIndex {
    unsigned x, y, z;
};
extern EmulatedIndex threadIdx, blockIdx, blockDim, gridDim;

void emulatedBlockBarrier();
void emulatedWarpBarrier();
float emulatedShuffleXor(float value, int laneMask);
float emulatedShuffle(float value, int lane);

// Shows some words of this lane to its warp, and waits until all lanes have shown theirs: where those of lane 0 lie, those
// of the others at so many words from lane to lane, until the next exchange but one.
const unsigned *emulatedExchange(const unsigned *words, unsigned count);
const unsigned MOST_SHOWN = 6, SHOWN_STRIDE = 2 * MOST_SHOWN;

// mma.cpp
void mmaBf16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]);
void mmaTf32(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]);

#define __syncthreads() emulatedBlockBarrier()
#define __syncwarp() emulatedWarpBarrier()
#define __shfl_xor_sync(mask, value, laneMask) emulatedShuffleXor(value, laneMask)
#define __shfl_sync(mask, value, lane) emulatedShuffle(value, lane)

struct alignas(16) float4 {
    float x, y, z, w;
};

struct alignas(8) uint2 {
    unsigned x, y;
};

struct alignas(16) uint4 {
    unsigned x, y, z, w;
};

typedef _Float16 __half;
static inline float __half2float(__half h) { return (float) h; }
static inline __half __float2half_rn(float x) { return (__half) x; }

static inline float __uint_as_float(unsigned bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline unsigned __float_as_uint(float x) {
    unsigned bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

// What a thread copies arrives when it waits, and not before.
void copyAsync(uint4 *to, const uint4 *from, bool present);
void awaitCopies();

static inline float fastExp2(float x) { return exp2f(x); }

// Rounds to the 11 bits of TF32, halves away from zero.
static inline unsigned tf32Bits(float x) { return (__float_as_uint(x) + (std::isfinite(x) ? 0x1000 : 0)) & ~0x1FFFu; }

// The bytes of low (0 to 3) and high (4 to 7) that the digits of selector name, the lowest first.
static inline unsigned __byte_perm(unsigned low, unsigned high, unsigned selector) {
    unsigned out = 0;
    for (int i = 0; i < 4; i++) {
        unsigned from = selector >> 4 * i & 7;
        out |= ((from < 4 ? low : high) >> from % 4 * 8 & 0xFF) << 8 * i;
    }
    return out;
}

using std::max;
using std::min;

// What kernels.cu needs of CUDA C when g++ compiles it for the emulator: every CUDA thread is a fiber (fibers.cpp).
#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>

#define __device__
#define __global__
#define __shared__ static // blocks run one after the other

struct EmulatedIndex {
    unsigned x, y, z;
};
extern EmulatedIndex threadIdx, blockIdx, blockDim, gridDim;

void emulatedBlockBarrier();
void emulatedWarpBarrier();
float emulatedShuffleXor(float value, int laneMask);

#define __syncthreads() emulatedBlockBarrier()
#define __syncwarp() emulatedWarpBarrier()
#define __shfl_xor_sync(mask, value, laneMask) emulatedShuffleXor(value, laneMask)

struct alignas(16) float4 {
    float x, y, z, w;
};

struct alignas(8) uint2 {
    unsigned x, y;
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

using std::max;
using std::min;

// The kernels of obsprop's CUDA backend: all that cuBLAS does not do. One stream runs them one after the other, so no
// kernel synchronises with another. Contracts (formulas, shapes, aliasing) are those of obsprop.kernel.Kernels.
//
// Letters: N rows of activations, K cotangents of each row (cotangent row r pairs with saved row r % N), H heads, G
// key/value heads, D head width, n width of a row. Strides count elements; the last axis always has stride 1.
#ifdef __CUDACC__
#include <cuda_fp16.h>
#else
#include "cuda_shim.h"
#endif

// ---- views

enum Type { F32 = 0, F16 = 1, BF16 = 2, F64 = 3 };

// A view of rank 4 or less, padded with axes of size 1 on the left: a matrix [N,n] uses s2, a [N,H,n] uses s1 and s2.
struct View {
    void *data;
    long long s0, s1, s2;
    int type;
    int unused;
};

__device__ inline float bf16ToFloat(unsigned short bits) { return __uint_as_float((unsigned) bits << 16); }

__device__ inline unsigned short floatToBf16(float x) {
    unsigned bits = __float_as_uint(x);
    if (x != x) return (unsigned short) (bits >> 16 | 0x40);
    return (unsigned short) ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

__device__ inline float load(const View &v, long long at) {
    switch (v.type) {
        case F32: return ((const float *) v.data)[at];
        case F16: return __half2float(((const __half *) v.data)[at]);
        case BF16: return bf16ToFloat(((const unsigned short *) v.data)[at]);
        default: return (float) ((const double *) v.data)[at];
    }
}

__device__ inline void store(const View &v, long long at, float x) {
    switch (v.type) {
        case F32: ((float *) v.data)[at] = x; break;
        case F16: ((__half *) v.data)[at] = __float2half_rn(x); break;
        case BF16: ((unsigned short *) v.data)[at] = floatToBf16(x); break;
        default: ((double *) v.data)[at] = x; break;
    }
}

// Four elements at a multiple of four, from memory so aligned.
__device__ inline float4 load4(const View &v, long long at) {
    if (v.type == F32) return ((const float4 *) v.data)[at / 4];
    if (v.type == BF16) {
        uint2 bits = ((const uint2 *) v.data)[at / 4];
        return {__uint_as_float(bits.x << 16), __uint_as_float(bits.x & 0xFFFF0000u),
                __uint_as_float(bits.y << 16), __uint_as_float(bits.y & 0xFFFF0000u)};
    }
    return {load(v, at), load(v, at + 1), load(v, at + 2), load(v, at + 3)};
}

__device__ inline unsigned pairToBf16(float low, float high) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    unsigned pair;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
    return pair;
#else
    return (unsigned) floatToBf16(high) << 16 | floatToBf16(low);
#endif
}

__device__ inline void store4(const View &v, long long at, float4 x) {
    if (v.type == F32) {
        ((float4 *) v.data)[at / 4] = x;
    } else if (v.type == BF16) {
        ((uint2 *) v.data)[at / 4] = {pairToBf16(x.x, x.y), pairToBf16(x.z, x.w)};
    } else {
        store(v, at, x.x);
        store(v, at + 1, x.y);
        store(v, at + 2, x.z);
        store(v, at + 3, x.w);
    }
}

// Row i, head h of activations, which are F32.
__device__ inline float *row(const View &v, long long i, long long h) {
    return (float *) v.data + i * v.s1 + h * v.s2;
}

// Row i of a matrix of activations.
__device__ inline float *row(const View &v, long long i) { return (float *) v.data + i * v.s2; }

// Offset of the row that this block owns, of a view [.., n1, n2, n].
__device__ inline long long blockRow(const View &v, int n1, int n2) {
    long long r = blockIdx.x;
    return r / n2 / n1 * v.s0 + r / n2 % n1 * v.s1 + r % n2 * v.s2;
}

__device__ inline void put(float *at, float x, int accumulate) { *at = accumulate ? *at + x : x; }

// ---- reductions

__device__ inline float warpSum(float v) {
    for (int o = 16; o > 0; o >>= 1) v += __shfl_xor_sync(0xffffffffu, v, o);
    return v;
}

__device__ inline float warpMax(float v) {
    for (int o = 16; o > 0; o >>= 1) v = fmaxf(v, __shfl_xor_sync(0xffffffffu, v, o));
    return v;
}

// The sum over the block, in every thread; blockDim.x is a multiple of 32.
__device__ inline float blockSum(float v) {
    __shared__ float partial[32];
    v = warpSum(v);
    if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = v;
    __syncthreads();
    float sum = 0;
    for (int w = 0; w < (int) blockDim.x / 32; w++) sum += partial[w];
    __syncthreads();
    return sum;
}

// ---- moving data: the blocks along y share a row of n elements. Where `wide` says that all rows begin at multiples of
// four elements and are so long, a thread takes four at once.

// The columns of a thread, of n or of n / 4.
#define COLUMNS(c, n) \
    for (long long c = (long long) blockIdx.y * blockDim.x + threadIdx.x; c < (n); c += (long long) gridDim.y * blockDim.x)

extern "C" __global__ void copy(View from, View to, int n1, int n2, long long n, int wide) {
    long long source = blockRow(from, n1, n2), target = blockRow(to, n1, n2);
    if (wide) {
        COLUMNS(c, n / 4) store4(to, target + 4 * c, load4(from, source + 4 * c));
    } else if (from.type == F64 && to.type == F64) {
        COLUMNS(c, n) ((double *) to.data)[target + c] = ((const double *) from.data)[source + c];
    } else {
        COLUMNS(c, n) store(to, target + c, load(from, source + c));
    }
}

__device__ inline float4 addedTo(float4 y, float alpha, float4 x) {
    return {y.x + alpha * x.x, y.y + alpha * x.y, y.z + alpha * x.z, y.w + alpha * x.w};
}

extern "C" __global__ void addScaled(float alpha, View x, View y, int n1, int n2, long long n, int wide) {
    long long source = blockRow(x, n1, n2), target = blockRow(y, n1, n2);
    float *to = (float *) y.data + target;
    if (wide) {
        float4 *to4 = (float4 *) to;
        COLUMNS(c, n / 4) to4[c] = addedTo(to4[c], alpha, load4(x, source + 4 * c));
    } else {
        COLUMNS(c, n) to[c] += alpha * load(x, source + c);
    }
}

// to[0..n) (+)= scale * values[at..at + n)
__device__ inline void putRow(float *to, float scale, const View &values, long long at, int n, int wide, int accumulate) {
    if (wide) {
        float4 *to4 = (float4 *) to;
        COLUMNS(c, n / 4) {
            float4 before = {0, 0, 0, 0};
            if (accumulate) before = to4[c];
            to4[c] = addedTo(before, scale, load4(values, at + 4 * c));
        }
    } else {
        COLUMNS(c, n) put(to + c, scale * load(values, at + c), accumulate);
    }
}

extern "C" __global__ void broadcast(View values, View y, int n, int wide, int accumulate) {
    putRow(row(y, blockIdx.x), 1, values, 0, n, wide, accumulate);
}

extern "C" __global__ void gather(View table, const int *ids, float scale, View y, int n, int wide, int accumulate) {
    putRow(row(y, blockIdx.x), scale, table, ids[blockIdx.x] * table.s2, n, wide, accumulate);
}

// ---- normalisation: a block owns a row; blockIdx.x = i * heads + h

enum NormKind { LAYER = 0, RMS = 1 };
enum NormRule { EXACT = 0, FROZEN = 1, PAPER = 2, WEIGHT_ONLY = 3, NONE = 4 };

struct Norm {
    View gain, bias;
    float epsilon, gainOffset;
    int kind, heads, n, rows; // rows: N, of the saved values
};

// V neighbouring elements of a row: 4 where rows are as `wide` says, otherwise 1.
template <int V>
struct Some {
    float x[V];
};

template <int V>
__device__ inline Some<V> some(const float *row, int c);

template <>
__device__ inline Some<1> some<1>(const float *row, int c) {
    return {{row[c]}};
}

template <>
__device__ inline Some<4> some<4>(const float *row, int c) {
    float4 v = ((const float4 *) row)[c / 4];
    return {{v.x, v.y, v.z, v.w}};
}

template <int V>
__device__ inline Some<V> some(const View &row, int c);

template <>
__device__ inline Some<1> some<1>(const View &row, int c) {
    return {{load(row, c)}};
}

template <>
__device__ inline Some<4> some<4>(const View &row, int c) {
    float4 v = load4(row, c);
    return {{v.x, v.y, v.z, v.w}};
}

__device__ inline void putSome(float *row, int c, const Some<1> &v) { row[c] = v.x[0]; }

__device__ inline void putSome(float *row, int c, const Some<4> &v) {
    ((float4 *) row)[c / 4] = {v.x[0], v.x[1], v.x[2], v.x[3]};
}

__device__ inline void putSome(unsigned short *row, int c, const Some<1> &v) { row[c] = floatToBf16(v.x[0]); }

__device__ inline void putSome(unsigned short *row, int c, const Some<4> &v) {
    ((uint2 *) row)[c / 4] = {pairToBf16(v.x[0], v.x[1]), pairToBf16(v.x[2], v.x[3])};
}

// Where a kernel writes matrix rows of n elements in bfloat16 too, for the product that takes them next: contiguous, or nowhere.
struct Rounded {
    unsigned short *data;

    template <int V>
    __device__ inline void put(long long row, int n, int c, const Some<V> &v) const {
        if (data) putSome(data + row * n, c, v);
    }
};

#define GROUPS(V, c, n) for (int c = V * threadIdx.x; c < (n); c += V * blockDim.x)
#define EACH(V, e) _Pragma("unroll") for (int e = 0; e < V; e++)

template <int V>
__device__ inline void normRow(const float *from, const Norm &p, float *to, float *stats, Rounded rounded) {
    float mean = 0;
    if (p.kind == LAYER) {
        float sum = 0;
        GROUPS(V, c, p.n) {
            Some<V> x = some<V>(from, c);
            EACH(V, e) sum += x.x[e];
        }
        mean = blockSum(sum) / p.n;
    }
    float squares = 0;
    GROUPS(V, c, p.n) {
        Some<V> x = some<V>(from, c);
        EACH(V, e) squares += (x.x[e] - mean) * (x.x[e] - mean);
    }
    float rstd = 1 / sqrtf(blockSum(squares) / p.n + p.epsilon);
    GROUPS(V, c, p.n) {
        Some<V> x = some<V>(from, c), gain = some<V>(p.gain, c), y = {};
        if (p.bias.data) y = some<V>(p.bias, c);
        EACH(V, e) y.x[e] += (p.gainOffset + gain.x[e]) * ((x.x[e] - mean) * rstd);
        putSome(to, c, y);
        rounded.put(blockIdx.x, p.n, c, y);
    }
    if (threadIdx.x == 0) {
        stats[0] = mean;
        stats[1] = rstd;
    }
}

extern "C" __global__ void normForward(View x, Norm p, View y, View stats, int wide, Rounded rounded) {
    long long i = blockIdx.x / p.heads, h = blockIdx.x % p.heads;
    if (wide) normRow<4>(row(x, i, h), p, row(y, i, h), row(stats, i, h), rounded);
    else normRow<1>(row(x, i, h), p, row(y, i, h), row(stats, i, h), rounded);
}

// PAPER: sqrt(n) / ||x||
__device__ inline float paperFactor(const float *x, int n) {
    float squares = 0;
    for (int c = threadIdx.x; c < n; c += blockDim.x) squares += x[c] * x[c];
    return sqrtf((float) n) / sqrtf(blockSum(squares));
}

// norm: y = g * (x - mean) * rstd + bias
template <int V>
__device__ inline void normVjpRow(const float *from, const float *at, const float *stats, const Norm &p, int rule,
                                  float *to, int accumulate, Rounded rounded) {
    float mean = stats[0], rstd = stats[1];
    float factor = rule == PAPER ? paperFactor(at, p.n) : rule == EXACT || rule == FROZEN ? rstd : 1;
    float centre = 0, along = 0;
    bool centred = p.kind == LAYER && (rule == EXACT || rule == FROZEN);
    if (centred || rule == EXACT) {
        float sum = 0, product = 0;
        GROUPS(V, c, p.n) {
            Some<V> d = some<V>(from, c), x = some<V>(at, c), gain = some<V>(p.gain, c);
            EACH(V, e) {
                float scaled = (p.gainOffset + gain.x[e]) * d.x[e];
                sum += scaled;
                product += scaled * ((x.x[e] - mean) * rstd);
            }
        }
        if (centred) centre = blockSum(sum) / p.n;
        if (rule == EXACT) along = blockSum(product) / p.n;
    }
    GROUPS(V, c, p.n) {
        Some<V> d = some<V>(from, c), x = some<V>(at, c), gain = some<V>(p.gain, c), out = {};
        if (accumulate) out = some<V>(to, c);
        EACH(V, e) {
            float scaled = rule == NONE ? d.x[e] : (p.gainOffset + gain.x[e]) * d.x[e];
            float xh = rule == EXACT ? (x.x[e] - mean) * rstd : 0;
            out.x[e] += factor * (scaled - centre - xh * along);
        }
        putSome(to, c, out);
        rounded.put(blockIdx.x, p.n, c, out);
    }
}

extern "C" __global__ void normVjp(
        View dy, View x, View stats, Norm p, int rule, View dx, int accumulate, int wide, Rounded rounded) {
    long long i = blockIdx.x / p.heads, h = blockIdx.x % p.heads, saved = i % p.rows;
    const float *from = row(dy, i, h), *at = row(x, saved, h), *known = row(stats, saved, h);
    if (wide) normVjpRow<4>(from, at, known, p, rule, row(dx, i, h), accumulate, rounded);
    else normVjpRow<1>(from, at, known, p, rule, row(dx, i, h), accumulate, rounded);
}

// ---- elementwise: as moving data

enum Activation { GELU_ERF = 0, GELU_TANH, QUICK_GELU, RELU, RELU_SQUARED, SILU, TANH, SIGMOID, IDENTITY };

__device__ inline float sigmoid(float x) { return 1 / (1 + expf(-x)); }

#define GELU_C 0.7978845608028654f // sqrt(2/pi)
#define GELU_A 0.044715f

__device__ inline float activate(int f, float x) {
    switch (f) {
        case GELU_ERF: return 0.5f * x * erfcf(-0.7071067811865476f * x);
        case GELU_TANH: return 0.5f * x * (1 + tanhf(GELU_C * (x + GELU_A * x * x * x)));
        case QUICK_GELU: return x * sigmoid(1.702f * x);
        case RELU: return fmaxf(x, 0);
        case RELU_SQUARED: return fmaxf(x, 0) * fmaxf(x, 0);
        case SILU: return x * sigmoid(x);
        case TANH: return tanhf(x);
        case SIGMOID: return sigmoid(x);
        default: return x;
    }
}

__device__ inline float derivative(int f, float x) {
    switch (f) {
        case GELU_ERF:
            return 0.5f * erfcf(-0.7071067811865476f * x) + x * 0.3989422804014327f * expf(-0.5f * x * x);
        case GELU_TANH: {
            float t = tanhf(GELU_C * (x + GELU_A * x * x * x));
            return 0.5f * (1 + t) + 0.5f * x * (1 - t * t) * GELU_C * (1 + 3 * GELU_A * x * x);
        }
        case QUICK_GELU: {
            float s = sigmoid(1.702f * x);
            return s + 1.702f * x * s * (1 - s);
        }
        case RELU: return x > 0 ? 1 : 0;
        case RELU_SQUARED: return 2 * fmaxf(x, 0);
        case SILU: {
            float s = sigmoid(x);
            return s + x * s * (1 - s);
        }
        case TANH: {
            float t = tanhf(x);
            return 1 - t * t;
        }
        case SIGMOID: {
            float s = sigmoid(x);
            return s * (1 - s);
        }
        default: return 1;
    }
}

// The columns of a thread, V at once.
#define COLUMN_GROUPS(V, c, n) \
    for (int c = V * (blockIdx.y * blockDim.x + threadIdx.x); c < (n); c += V * gridDim.y * blockDim.x)

template <int V>
__device__ inline void activateRow(int f, const float *from, float *to, int n, Rounded rounded) {
    COLUMN_GROUPS(V, c, n) {
        Some<V> x = some<V>(from, c);
        EACH(V, e) x.x[e] = activate(f, x.x[e]);
        putSome(to, c, x);
        rounded.put(blockIdx.x, n, c, x);
    }
}

extern "C" __global__ void activation(int f, View x, View y, int n, int wide, Rounded rounded) {
    if (wide) activateRow<4>(f, row(x, blockIdx.x), row(y, blockIdx.x), n, rounded);
    else activateRow<1>(f, row(x, blockIdx.x), row(y, blockIdx.x), n, rounded);
}

template <int V>
__device__ inline void activateRowVjp(int f, const float *from, const float *at, float *to, int n, Rounded rounded) {
    COLUMN_GROUPS(V, c, n) {
        Some<V> d = some<V>(from, c), x = some<V>(at, c);
        EACH(V, e) d.x[e] *= derivative(f, x.x[e]);
        putSome(to, c, d);
        rounded.put(blockIdx.x, n, c, d);
    }
}

// activation: y = f(x)
extern "C" __global__ void activationVjp(int f, View dy, View x, View dx, int rows, int n, int wide, Rounded rounded) {
    const float *from = row(dy, blockIdx.x), *at = row(x, blockIdx.x % rows);
    if (wide) activateRowVjp<4>(f, from, at, row(dx, blockIdx.x), n, rounded);
    else activateRowVjp<1>(f, from, at, row(dx, blockIdx.x), n, rounded);
}

template <int V>
__device__ inline void gateRow(int f, const float *gate, const float *up, float *to, int n, Rounded rounded) {
    COLUMN_GROUPS(V, c, n) {
        Some<V> g = some<V>(gate, c), u = some<V>(up, c);
        EACH(V, e) g.x[e] = activate(f, g.x[e]) * u.x[e];
        putSome(to, c, g);
        rounded.put(blockIdx.x, n, c, g);
    }
}

extern "C" __global__ void gated(int f, View gate, View up, View y, int n, int wide, Rounded rounded) {
    if (wide) gateRow<4>(f, row(gate, blockIdx.x), row(up, blockIdx.x), row(y, blockIdx.x), n, rounded);
    else gateRow<1>(f, row(gate, blockIdx.x), row(up, blockIdx.x), row(y, blockIdx.x), n, rounded);
}

template <int V>
__device__ inline void gateRowVjp(
        int f, const float *from, const float *gate, const float *up, float *toGate, float *toUp, int n, Rounded rounded) {
    COLUMN_GROUPS(V, c, n) {
        Some<V> d = some<V>(from, c), g = some<V>(gate, c), u = some<V>(up, c), dGate, dUp; // dGate or dUp may be dy
        EACH(V, e) {
            dGate.x[e] = d.x[e] * u.x[e] * derivative(f, g.x[e]);
            dUp.x[e] = d.x[e] * activate(f, g.x[e]);
        }
        putSome(toGate, c, dGate);
        putSome(toUp, c, dUp);
        rounded.put(blockIdx.x, n, c, dGate);
    }
}

// gated: y = f(gate) * up
extern "C" __global__ void gatedVjp(
        int f, View dy, View gate, View up, View dGate, View dUp, int rows, int n, int wide, Rounded rounded) {
    const float *from = row(dy, blockIdx.x), *g = row(gate, blockIdx.x % rows), *u = row(up, blockIdx.x % rows);
    if (wide) gateRowVjp<4>(f, from, g, u, row(dGate, blockIdx.x), row(dUp, blockIdx.x), n, rounded);
    else gateRowVjp<1>(f, from, g, u, row(dGate, blockIdx.x), row(dUp, blockIdx.x), n, rounded);
}

extern "C" __global__ void softCap(float cap, View x, int n) {
    float *at = row(x, blockIdx.x);
    COLUMNS(c, n) at[c] = cap * tanhf(at[c] / cap);
}

// ---- rotary positions: a block owns a row of H heads, each thread a pair

enum RotaryStyle { HALF_SPLIT = 0, INTERLEAVED = 1 };

struct Rotary {
    View cos, sin;
    int heads, pairs, rows, style;
    float direction; // 1 forward, -1 inverse
};

extern "C" __global__ void rotate(View x, const int *positions, Rotary p) {
    long long r = blockIdx.x, position = positions[r % p.rows];
    for (int e = threadIdx.x; e < p.heads * p.pairs; e += blockDim.x) {
        int i = e % p.pairs;
        float *head = row(x, r, e / p.pairs);
        float *first = head + (p.style == HALF_SPLIT ? i : 2 * i);
        float *second = p.style == HALF_SPLIT ? first + p.pairs : first + 1;
        float c = load(p.cos, position * p.cos.s2 + i), s = p.direction * load(p.sin, position * p.sin.s2 + i);
        float a = *first, b = *second;
        *first = a * c - b * s;
        *second = a * s + b * c;
    }
}

// ---- attention
//
// A block of four warps owns ROWS_PER_BLOCK rows (queries; for the key VJP: keys) of one prompt and one head, a warp
// ROWS of them. The other side passes by in tiles of 32 rows held in shared memory, one for each lane: lane l computes
// the dot products with row l of the tile, and afterwards owns the coordinates l, l + 32, ... of what is summed.

#define WARPS 4
#define ROWS 4
#define ROWS_PER_BLOCK (WARPS * ROWS)
#define LANES 32
#define MAX_WIDTH 256
#define CHUNKS (MAX_WIDTH / LANES)

struct Attention {
    float scale, cap; // cap 0: none
    int window, heads, groups, width, rows, cotangents;
};

// What a block owns: rows from first on, so many as a block owns and below length, of the prompt whose row 0 is row start.
struct Part {
    int start, first, length;
};

__device__ inline Part partOf(const int *parts, int block) {
    const int *p = parts + 3 * block;
    return {p[0], p[1], p[2]};
}

typedef float Tile[LANES][MAX_WIDTH + 1]; // odd row length: lanes reading a column hit different banks

// Fills the tile with count rows; everything read from or written to shared memory before is settled.
__device__ inline void stage(Tile tile, const View &v, long long first, int h, int count, int width) {
    __syncthreads();
    for (int j = threadIdx.x / LANES; j < count; j += WARPS) {
        const float *from = row(v, first + j, h);
        for (int d = threadIdx.x % LANES; d < width; d += LANES) tile[j][d] = from[d];
    }
    __syncthreads();
}

__device__ inline float dot(const float *a, const float *b, int width) {
    float sum = 0;
    for (int d = 0; d < width; d++) sum += a[d] * b[d];
    return sum;
}

__device__ inline float capped(const Attention &p, float s) { return p.cap > 0 ? p.cap * tanhf(s / p.cap) : s; }

// The derivative of the cap, from the capped score.
__device__ inline float capSlope(const Attention &p, float s) {
    return p.cap > 0 ? 1 - s / p.cap * (s / p.cap) : 1;
}

__device__ inline bool permitted(const Attention &p, int t, int j, int length) {
    return t < length && j <= t && t - j < p.window;
}

__device__ inline int firstKey(const Attention &p, int t) { return p.window > t ? 0 : t - p.window + 1; }

// sums[r][c] += sum_j weights[r][j] tile[j][lane + 32 c]
__device__ inline void accumulateRows(
        float sums[ROWS][CHUNKS], const float weights[ROWS][LANES], Tile tile, int count, int width) {
    int lane = threadIdx.x % LANES;
#pragma unroll 1
    for (int j = 0; j < count; j++) {
#pragma unroll
        for (int c = 0; c < CHUNKS; c++) {
            if (c * LANES < width) {
                float value = tile[j][lane + c * LANES];
#pragma unroll
                for (int r = 0; r < ROWS; r++) sums[r][c] += weights[r][j] * value;
            }
        }
    }
}

// to[lane + 32 c] = factor * sums[c]
__device__ inline void writeRow(float *to, const float sums[CHUNKS], float factor, int width) {
#pragma unroll
    for (int c = 0; c < CHUNKS; c++) {
        int d = threadIdx.x % LANES + c * LANES;
        if (d < width) to[d] = factor * sums[c];
    }
}

extern "C" __global__ void attention(View q, View k, View v, Attention p, const int *parts, View z, View lse) {
    __shared__ Tile tile;
    __shared__ float weights[WARPS][ROWS][LANES];
    Part part = partOf(parts, blockIdx.x);
    int h = blockIdx.y, g = h / (p.heads / p.groups), lane = threadIdx.x % LANES, warp = threadIdx.x / LANES;
    int end = min(part.first + ROWS_PER_BLOCK, part.length);
    float sums[ROWS][CHUNKS] = {}, total[ROWS] = {}, peak[ROWS];
    for (int r = 0; r < ROWS; r++) peak[r] = -INFINITY;
    for (int j0 = firstKey(p, part.first); j0 < end; j0 += LANES) {
        int count = min(LANES, end - j0), j = j0 + lane;
        stage(tile, k, part.start + j0, g, count, p.width);
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            int t = part.first + warp * ROWS + r;
            bool sees = permitted(p, t, j, part.length);
            float s = sees ? capped(p, p.scale * dot(row(q, part.start + t, h), tile[lane], p.width)) : -INFINITY;
            float newPeak = fmaxf(peak[r], warpMax(s));
            float shrink = peak[r] == -INFINITY ? 0 : expf(peak[r] - newPeak), weight = sees ? expf(s - newPeak) : 0;
            peak[r] = newPeak;
            total[r] = total[r] * shrink + weight;
            weights[warp][r][lane] = weight;
#pragma unroll
            for (int c = 0; c < CHUNKS; c++) sums[r][c] *= shrink;
        }
        stage(tile, v, part.start + j0, g, count, p.width);
        accumulateRows(sums, weights[warp], tile, count, p.width);
    }
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
        int t = part.first + warp * ROWS + r;
        float sum = warpSum(total[r]);
        if (t < part.length) {
            writeRow(row(z, part.start + t, h), sums[r], 1 / sum, p.width);
            if (lane == 0) row(lse, part.start + t)[h] = peak[r] + logf(sum);
        }
    }
}

// What one lane knows of a query and a key: the pattern A and the slope of the cap.
struct Pair {
    float a, slope;
};

__device__ inline Pair pairOf(const Attention &p, bool sees, const float *mine, const float *other, const float *lse) {
    if (!sees) return {0, 0};
    float s = capped(p, p.scale * dot(mine, other, p.width));
    return {expf(s - *lse), capSlope(p, s)};
}

// The product of two rows, in every lane.
__device__ inline float warpDot(const float *a, const float *b, int n) {
    float sum = 0;
    for (int c = threadIdx.x % LANES; c < n; c += LANES) sum += a[c] * b[c];
    return warpSum(sum);
}

// attention: z[t] = sum_j A[t,j] v[j]. Writes dq and, for attentionVjpKey, delta[t] = sum_j A[t,j] dA[t,j] = dz[t] z[t].
extern "C" __global__ void attentionVjpQuery(
        View dz, View q, View k, View v, View lse, Attention p, const int *parts, View z, View dq, View delta) {
    __shared__ Tile tile;
    __shared__ float weights[WARPS][ROWS][LANES];
    Part part = partOf(parts, blockIdx.x);
    int h = blockIdx.y, g = h / (p.heads / p.groups), lane = threadIdx.x % LANES, warp = threadIdx.x / LANES;
    int end = min(part.first + ROWS_PER_BLOCK, part.length), begin = firstKey(p, part.first);
    for (int kk = blockIdx.z; kk < p.cotangents; kk += gridDim.z) {
        long long start = part.start, dStart = (long long) kk * p.rows + part.start;
        float sums[ROWS][CHUNKS] = {}, mean[ROWS] = {};
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            int t = part.first + warp * ROWS + r;
            if (t < part.length) mean[r] = warpDot(row(dz, dStart + t, h), row(z, start + t, h), p.width);
        }
        for (int j0 = begin; j0 < end; j0 += LANES) {
            int count = min(LANES, end - j0), j = j0 + lane;
            float dA[ROWS];
            stage(tile, v, start + j0, g, count, p.width);
#pragma unroll
            for (int r = 0; r < ROWS; r++) {
                int t = part.first + warp * ROWS + r;
                bool sees = permitted(p, t, j, part.length);
                dA[r] = sees ? dot(row(dz, dStart + t, h), tile[lane], p.width) : 0;
            }
            stage(tile, k, start + j0, g, count, p.width);
#pragma unroll
            for (int r = 0; r < ROWS; r++) {
                int t = part.first + warp * ROWS + r;
                bool sees = permitted(p, t, j, part.length);
                Pair pair = pairOf(p, sees, row(q, start + t, h), tile[lane], row(lse, start + t) + h);
                weights[warp][r][lane] = pair.a * (dA[r] - mean[r]) * pair.slope;
            }
            __syncwarp();
            accumulateRows(sums, weights[warp], tile, count, p.width);
        }
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            int t = part.first + warp * ROWS + r;
            if (t < part.length) {
                writeRow(row(dq, dStart + t, h), sums[r], p.scale, p.width);
                if (lane == 0) row(delta, dStart + t)[h] = mean[r];
            }
        }
    }
}

// attention: z[t] = sum_j A[t,j] v[j]. Writes dv and, if not frozen, dk; a block owns keys, the tiles hold queries.
template <bool FROZEN_PATTERN> // then delta and dk are not touched
__device__ inline void keyVjp(const View &dz, const View &q, const View &k, const View &v, const View &lse,
                              const Attention &p, Part part, const View &delta, const View &dk, const View &dv) {
    __shared__ Tile tile;
    __shared__ float weights[WARPS][ROWS][LANES];
    int g = blockIdx.y, lane = threadIdx.x % LANES, warp = threadIdx.x / LANES, perGroup = p.heads / p.groups;
    int lastKey = min(part.first + ROWS_PER_BLOCK, part.length) - 1;
    int end = p.window >= part.length - lastKey ? part.length : lastKey + p.window;
    for (int kk = blockIdx.z; kk < p.cotangents; kk += gridDim.z) {
        long long start = part.start, dStart = (long long) kk * p.rows + part.start;
        float sumsK[ROWS][CHUNKS] = {}, sumsV[ROWS][CHUNKS] = {};
        for (int h = g * perGroup; h < (g + 1) * perGroup; h++) {
            for (int t0 = part.first; t0 < end; t0 += LANES) {
                int count = min(LANES, end - t0), t = t0 + lane;
                Pair pair[ROWS];
                stage(tile, q, start + t0, h, count, p.width);
#pragma unroll
                for (int r = 0; r < ROWS; r++) {
                    int j = part.first + warp * ROWS + r;
                    bool sees = t < end && permitted(p, t, j, part.length);
                    pair[r] = pairOf(p, sees, row(k, start + j, g), tile[lane], row(lse, start + t) + h);
                    weights[warp][r][lane] = pair[r].a;
                }
                stage(tile, dz, dStart + t0, h, count, p.width);
                accumulateRows(sumsV, weights[warp], tile, count, p.width);
                if (!FROZEN_PATTERN) {
#pragma unroll
                    for (int r = 0; r < ROWS; r++) {
                        int j = part.first + warp * ROWS + r;
                        bool sees = t < end && permitted(p, t, j, part.length);
                        float dA = sees ? dot(row(v, start + j, g), tile[lane], p.width) : 0;
                        float mean = sees ? row(delta, dStart + t)[h] : 0;
                        pair[r].a *= (dA - mean) * pair[r].slope;
                    }
                    stage(tile, q, start + t0, h, count, p.width);
#pragma unroll
                    for (int r = 0; r < ROWS; r++) weights[warp][r][lane] = pair[r].a;
                    __syncwarp();
                    accumulateRows(sumsK, weights[warp], tile, count, p.width);
                }
            }
        }
#pragma unroll
        for (int r = 0; r < ROWS; r++) {
            int j = part.first + warp * ROWS + r;
            if (j < part.length) {
                writeRow(row(dv, dStart + j, g), sumsV[r], 1, p.width);
                if (!FROZEN_PATTERN) writeRow(row(dk, dStart + j, g), sumsK[r], p.scale, p.width);
            }
        }
    }
}

extern "C" __global__ void attentionVjpKey(View dz, View q, View k, View v, View lse, Attention p, const int *parts,
                                           View delta, View dk, View dv) {
    keyVjp<false>(dz, q, k, v, lse, p, partOf(parts, blockIdx.x), delta, dk, dv);
}

extern "C" __global__ void attentionVjpFrozen(
        View dz, View q, View k, View v, View lse, Attention p, const int *parts, View dv) {
    keyVjp<true>(dz, q, k, v, lse, p, partOf(parts, blockIdx.x), dv, dv, dv);
}

// ---- attention of long prompts, whose products are cuBLAS's
//
// Scores of queries first .. first + queries - 1 of a prompt lie as [head][cotangent][query][key], rows of ld elements, a
// multiple of four, of which the first `keys` are used: key j stands at j - firstKey. A block owns one row.

struct Scores {
    float scale, cap; // cap 0: none
    int window, start, first, queries, firstKey, keys, ld;
};

__device__ inline float4 *scoresOf(float *scores, const Scores &p, int cotangents) {
    long long matrix = (long long) blockIdx.y * cotangents + blockIdx.z;
    return (float4 *) (scores + (matrix * p.queries + blockIdx.x) * p.ld);
}

// Whether query t sees the key at place c of its row.
__device__ inline bool sees(const Scores &p, int t, int c) {
    int j = p.firstKey + c;
    return j <= t && t - j < p.window;
}

// Whether it sees any of the four places from c on.
__device__ inline bool seesSome(const Scores &p, int t, int c) {
    return p.firstKey + c <= t && t - (p.firstKey + c + 3) < p.window;
}

__device__ inline float scoreOf(const Scores &p, float product) {
    float s = p.scale * product;
    return p.cap > 0 ? p.cap * tanhf(s / p.cap) : s;
}

// The largest score that a thread has met, and the sum of exp(score - peak).
struct Peak {
    float peak, sum;
};

__device__ inline Peak include(Peak a, float score) {
    if (score <= a.peak) return {a.peak, a.sum + expf(score - a.peak)};
    return {score, a.sum * expf(a.peak - score) + 1}; // expf(-inf) is 0
}

__device__ inline float blockMax(float v) {
    __shared__ float partial[32];
    v = warpMax(v);
    if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = v;
    __syncthreads();
    float most = partial[0];
    for (int w = 1; w < (int) blockDim.x / 32; w++) most = fmaxf(most, partial[w]);
    __syncthreads();
    return most;
}

// scores := A, from the log of each row's sum of exponentials.
__device__ inline void weigh(float4 *row, const Scores &p, int t, float lse) {
    for (int c = 4 * threadIdx.x; c < p.ld; c += 4 * blockDim.x) {
        float4 a = {0, 0, 0, 0};
        if (seesSome(p, t, c)) {
            float4 s = row[c / 4];
            a.x = sees(p, t, c) ? expf(scoreOf(p, s.x) - lse) : 0;
            a.y = sees(p, t, c + 1) ? expf(scoreOf(p, s.y) - lse) : 0;
            a.z = sees(p, t, c + 2) ? expf(scoreOf(p, s.z) - lse) : 0;
            a.w = sees(p, t, c + 3) ? expf(scoreOf(p, s.w) - lse) : 0;
        }
        row[c / 4] = a;
    }
}

// scores := A and lse.
extern "C" __global__ void scoresSoftmax(float *scores, Scores p, View lse) {
    int t = p.first + blockIdx.x;
    float4 *row4 = scoresOf(scores, p, 1);
    Peak mine = {-INFINITY, 0};
    for (int c = 4 * threadIdx.x; c < p.ld; c += 4 * blockDim.x) {
        if (!seesSome(p, t, c)) continue;
        float4 s = row4[c / 4];
        if (sees(p, t, c)) mine = include(mine, scoreOf(p, s.x));
        if (sees(p, t, c + 1)) mine = include(mine, scoreOf(p, s.y));
        if (sees(p, t, c + 2)) mine = include(mine, scoreOf(p, s.z));
        if (sees(p, t, c + 3)) mine = include(mine, scoreOf(p, s.w));
    }
    float peak = blockMax(mine.peak);
    float sum = blockSum(mine.sum > 0 ? mine.sum * expf(mine.peak - peak) : 0);
    float total = peak + logf(sum);
    weigh(row4, p, t, total);
    if (threadIdx.x == 0) row(lse, p.start + t)[blockIdx.y] = total;
}

// scores := A, from the lse of the forward pass.
extern "C" __global__ void scoresPattern(float *scores, Scores p, View lse) {
    int t = p.first + blockIdx.x;
    weigh(scoresOf(scores, p, 1), p, t, row(lse, p.start + t)[blockIdx.y]);
}

// The derivative of the cap where the pattern is a: the score is lse + log(a).
__device__ inline float slopeAt(const Scores &p, float a, float lse) {
    if (p.cap <= 0 || a <= 0) return 1;
    float s = (lse + logf(a)) / p.cap;
    return 1 - s * s;
}

// scoresPattern: A = softmax(cap(scale * product)). From dA to the cotangent of the product, in place:
// scale * slope * A (dA - sum_j A dA / sum_j A). A was made from a rounded lse and does not quite add up to 1.
extern "C" __global__ void scoresVjp(float *dA, float *pattern, Scores p, int cotangents, View lse) {
    int t = p.first + blockIdx.x;
    float4 *d = scoresOf(dA, p, cotangents);
    const float4 *a = (const float4 *) (pattern + ((long long) blockIdx.y * p.queries + blockIdx.x) * p.ld);
    float sum = 0, weight = 0;
    for (int c = threadIdx.x; c < p.ld / 4; c += blockDim.x) {
        if (!seesSome(p, t, 4 * c)) continue;
        float4 x = a[c], y = d[c];
        weight += x.x + x.y + (x.z + x.w);
        // a is 0 where a key is not seen, but beyond the last key dA is not even a number
        if (sees(p, t, 4 * c)) sum += x.x * y.x;
        if (sees(p, t, 4 * c + 1)) sum += x.y * y.y;
        if (sees(p, t, 4 * c + 2)) sum += x.z * y.z;
        if (sees(p, t, 4 * c + 3)) sum += x.w * y.w;
    }
    float mean = blockSum(sum) / blockSum(weight), total = row(lse, p.start + t)[blockIdx.y];
    for (int c = threadIdx.x; c < p.ld / 4; c += blockDim.x) {
        float4 ds = {0, 0, 0, 0};
        if (seesSome(p, t, 4 * c)) {
            float4 x = a[c], y = d[c];
            if (sees(p, t, 4 * c)) ds.x = p.scale * slopeAt(p, x.x, total) * x.x * (y.x - mean);
            if (sees(p, t, 4 * c + 1)) ds.y = p.scale * slopeAt(p, x.y, total) * x.y * (y.y - mean);
            if (sees(p, t, 4 * c + 2)) ds.z = p.scale * slopeAt(p, x.z, total) * x.z * (y.z - mean);
            if (sees(p, t, 4 * c + 3)) ds.w = p.scale * slopeAt(p, x.w, total) * x.w * (y.w - mean);
        }
        d[c] = ds;
    }
}

// A block owns query blockIdx.x of the prompt that starts at row start; blockIdx.y is the head.
extern "C" __global__ void attentionPattern(
        View q, View k, View lse, Attention p, int start, int length, View pattern) {
    int t = blockIdx.x, h = blockIdx.y, g = h / (p.heads / p.groups);
    float *to = (float *) pattern.data + h * pattern.s1 + t * pattern.s2;
    const float *mine = row(q, start + t, h);
    for (int j = threadIdx.x; j < length; j += blockDim.x) {
        bool sees = permitted(p, t, j, length);
        to[j] = sees ? pairOf(p, true, mine, row(k, start + j, g), row(lse, start + t) + h).a : 0;
    }
}

// ---- attention on tensor cores, from compute capability 8.0 on
//
// After Dao, "FlashAttention-2" (arXiv 2307.08691): a block owns rows of one prompt and head, a warp 16 of them, the other side
// passes by in tiles of shared memory; the softmax is rescaled as larger scores come, VJPs make the pattern again from lse.
// Whoever sums over queries or keys owns the result, so nothing is added atomically and every run gives the same bits.
//
// Products are mma.sync of 16 rows, 8 columns and a step of K = 16 (bf16) or 8 (tf32); of the fragments (PTX ISA, "Matrix
// Fragments for mma.m16n8k16", "mma.m16n8k8") lane 4 r + c holds of A rows r and r + 8, of B column r, of the result rows r
// and r + 8 in columns 2 c and 2 c + 1. Which columns of the operands a step takes is free as long as A and B agree. So
// rows are moved in chunks of 16 bytes, which are two steps' worth for a lane, and no value moves between lanes. A first pass
// rounds the operands to chunks, since each is read many times; tiles are copied while the one before is worked on.

#ifdef __CUDACC__
// d += a b, operands rounded to bfloat16, two to a register.
__device__ inline void mmaBf16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    asm volatile("trap;");
#endif
}

// The same with operands rounded to TF32.
__device__ inline void mmaTf32(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    asm volatile("trap;");
#endif
}

__device__ inline unsigned tf32Bits(float x) {
    unsigned rounded = 0;
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(rounded) : "f"(x));
#endif
    return rounded;
}

// Begins to copy 16 bytes to shared memory, zeros if not `present`.
__device__ inline void copyAsync(uint4 *to, const uint4 *from, bool present) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                 :: "r"((unsigned) __cvta_generic_to_shared(to)), "l"(from), "r"(present ? 16 : 0) : "memory");
#endif
}

// Until all that this thread copies has arrived; the others' is there after a barrier.
__device__ inline void awaitCopies() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    asm volatile("cp.async.wait_all;" ::: "memory");
#endif
}

// 2^x to 22 bits, below 2^-126: 0.
__device__ inline float fastExp2(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
#endif

#define LOG2_E 1.4426950408889634f
#define LN_2 0.6931471805599453f

__device__ inline int laneRow() { return threadIdx.x % 32 / 4; }

__device__ inline int laneColumn() { return threadIdx.x % 4; }

// The sum, and the maximum, over the four lanes that hold a row.
__device__ inline float quadSum(float v) {
    for (int o = 2; o > 0; o >>= 1) v += __shfl_xor_sync(0xffffffffu, v, o);
    return v;
}

__device__ inline float quadMax(float v) {
    for (int o = 2; o > 0; o >>= 1) v = fmaxf(v, __shfl_xor_sync(0xffffffffu, v, o));
    return v;
}

// The results of a warp's products with N * 8 columns: s[n][e] is at row rowOf(e), column columnOf(n, e).
#define EACH_RESULT(N, n, e) \
    _Pragma("unroll") for (int n = 0; n < N; n++) _Pragma("unroll") for (int e = 0; e < 4; e++)

__device__ inline int rowOf(int e) { return laneRow() + e / 2 * 8; }

__device__ inline int columnOf(int n, int e) { return 8 * n + 2 * laneColumn() + e % 2; }

// Rows as operands of one precision. A chunk is 16 bytes of a row, lane 4 r + c takes the chunks c, c + 4, .. of its row; the two
// steps of a chunk are its words (x, y) and (z, w). `accumulate` takes results s as A: sums += s rows, of D columns, where
// sums[n] are as many columns as `rows` has elements in a chunk, each for 8 chunks; what they stand for, writeRows knows.
struct Bf16 {
    enum { PER_CHUNK = 8 };

    // First of four columns: half 0 or 1 of chunk c. Far apart, so that neighbours read neighbouring memory.
    template <int D>
    static __device__ inline int column(int c, int half) {
        return 4 * c + half * (D / 2);
    }

    template <int D>
    static __device__ inline uint4 chunk(const float *row, int c) {
        float4 x = *(const float4 *) (row + column<D>(c, 0)), y = *(const float4 *) (row + column<D>(c, 1));
        return {pairToBf16(x.x, x.y), pairToBf16(x.z, x.w), pairToBf16(y.x, y.y), pairToBf16(y.z, y.w)};
    }

    static __device__ inline void mma(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
        mmaBf16(d, a, {b0, b1});
    }

    // Elements 2 w and 2 w + 1 of a chunk, of four rows: two columns of B.
    static __device__ inline void twoColumns(float (*sums)[4], const unsigned (&a)[4], unsigned w0, unsigned w1, unsigned w8,
                                             unsigned w9) {
        mma(sums[0], a, __byte_perm(w0, w1, 0x5410), __byte_perm(w8, w9, 0x5410));
        mma(sums[1], a, __byte_perm(w0, w1, 0x7632), __byte_perm(w8, w9, 0x7632));
    }

    template <int N, int SUMS, class Rows>
    static __device__ inline void accumulate(float (&sums)[SUMS][4], const float (&s)[N][4], const Rows &rows) {
#pragma unroll
        for (int n = 0; n < N; n += 2) {
            unsigned a[4] = {pairToBf16(s[n][0], s[n][1]), pairToBf16(s[n][2], s[n][3]),
                             pairToBf16(s[n + 1][0], s[n + 1][1]), pairToBf16(s[n + 1][2], s[n + 1][3])};
            int r = 8 * n + 2 * laneColumn();
#pragma unroll
            for (int d = 0; d < SUMS; d += PER_CHUNK) {
                int c = d + laneRow();
                uint4 r0 = rows.at(r, c), r1 = rows.at(r + 1, c), r8 = rows.at(r + 8, c), r9 = rows.at(r + 9, c);
                twoColumns(sums + d, a, r0.x, r1.x, r8.x, r9.x);
                twoColumns(sums + d + 2, a, r0.y, r1.y, r8.y, r9.y);
                twoColumns(sums + d + 4, a, r0.z, r1.z, r8.z, r9.z);
                twoColumns(sums + d + 6, a, r0.w, r1.w, r8.w, r9.w);
            }
        }
    }
};

struct Tf32 {
    enum { PER_CHUNK = 4 };

    template <int D>
    static __device__ inline int column(int c, int) {
        return 4 * c;
    }

    template <int D>
    static __device__ inline uint4 chunk(const float *row, int c) {
        float4 x = *(const float4 *) (row + 4 * c);
        return {tf32Bits(x.x), tf32Bits(x.y), tf32Bits(x.z), tf32Bits(x.w)};
    }

    static __device__ inline void mma(float (&d)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
        mmaTf32(d, a, {b0, b1});
    }

    template <int N, int SUMS, class Rows>
    static __device__ inline void accumulate(float (&sums)[SUMS][4], const float (&s)[N][4], const Rows &rows) {
#pragma unroll
        for (int n = 0; n < N; n++) {
            unsigned a[4] = {tf32Bits(s[n][0]), tf32Bits(s[n][2]), tf32Bits(s[n][1]), tf32Bits(s[n][3])};
            int r = 8 * n + 2 * laneColumn();
#pragma unroll
            for (int d = 0; d < SUMS; d += PER_CHUNK) {
                int c = 2 * d + laneRow();
                uint4 r0 = rows.at(r, c), r1 = rows.at(r + 1, c);
                mma(sums[d], a, r0.x, r1.x);
                mma(sums[d + 1], a, r0.y, r1.y);
                mma(sums[d + 2], a, r0.z, r1.z);
                mma(sums[d + 3], a, r0.w, r1.w);
            }
        }
    }
};

// How a block is made: its rows fill 16 KiB, 64 of them at most.
template <class F, int D>
struct Fused {
    enum {
        ROW_CHUNKS = D / F::PER_CHUNK,
        OWNED = 1024 / ROW_CHUNKS < 64 ? 1024 / ROW_CHUNKS : 64,
        PASSING = 512 / ROW_CHUNKS < 64 ? 512 / ROW_CHUNKS : 64, // in VJPs, where two tiles of each have to fit into 48 KiB
        QUERIES = 64,            // that a block of the forward pass owns: it holds them in registers
        HOLDS = ROW_CHUNKS <= 16 // whether VJPs can hold queries so, too: a warp's take 2 * ROW_CHUNKS registers
    };
};

// Rows [N,H,D] as chunks, contiguous.
template <class F, int D>
struct Chunks {
    const uint4 *data;
    int heads;

    __device__ inline const uint4 *row(long long i, int h) const { return data + (i * heads + h) * (D / F::PER_CHUNK); }
};

// The operands of a forward pass, one after the other.
template <class F, int D>
struct Operands {
    Chunks<F, D> q, k, v;

    __device__ inline Operands(const uint4 *data, const Attention &p)
        : q{data, p.heads}, k{q.row(p.rows, 0), p.groups}, v{k.row(p.rows, 0), p.groups} {}
};

// N rows of width D in shared memory, spread so that neither reading rows nor reading columns meets a bank twice.
template <class F, int D, int N>
struct Staged {
    enum { ROW_CHUNKS = D / F::PER_CHUNK };
    uint4 chunks[N][ROW_CHUNKS];

    static __device__ inline int place(int r, int c) { return c ^ (r & 6) ^ (r & 1) << 2; }

    __device__ inline const uint4 &at(int r, int c) const { return chunks[r][place(r, c)]; }

    // Begins to copy rows first .. first + count - 1 of head h, zeros behind them.
    template <int THREADS>
    __device__ inline void fill(const Chunks<F, D> &x, long long first, int h, int count) {
        int c = threadIdx.x % ROW_CHUNKS;
        const uint4 *from = x.row(first, h) + c;
#pragma unroll
        for (int i = 0; i < N * ROW_CHUNKS / THREADS; i++) {
            int r = threadIdx.x / ROW_CHUNKS + i * (THREADS / ROW_CHUNKS);
            copyAsync(&chunks[r][place(r, c)], from + r * x.heads * ROW_CHUNKS, r < count);
        }
    }
};

// The 16 rows of a warp as A, in shared memory.
template <class F, int D, int N>
struct StagedRows {
    enum { BLOCKS = D / F::PER_CHUNK / 4, UNROLL = 2 };
    const Staged<F, D, N> &rows;

    __device__ inline uint4 chunk(int block, int half) const {
        return rows.at(threadIdx.x / 32 * 16 + laneRow() + 8 * half, 4 * block + laneColumn());
    }
};

// The same in registers: rows first .. first + count - 1 of head h, zeros behind them.
template <class F, int D>
struct HeldRows {
    enum { BLOCKS = D / F::PER_CHUNK / 4, UNROLL = BLOCKS };
    uint4 chunks[BLOCKS][2];

    __device__ inline HeldRows(const Chunks<F, D> &x, long long first, int h, int count) {
#pragma unroll
        for (int half = 0; half < 2; half++) {
            int r = laneRow() + 8 * half;
            const uint4 *from = x.row(first + r, h);
#pragma unroll
            for (int block = 0; block < BLOCKS; block++) {
                chunks[block][half] = r < count ? from[4 * block + laneColumn()] : uint4{0, 0, 0, 0};
            }
        }
    }

    __device__ inline uint4 chunk(int block, int half) const { return chunks[block][half]; }
};

// Rows first .. first + count - 1 of head h as A: a warp's 16 of them in registers if it HOLDS them, else all in `memory`, where
// they arrive like what is copied there.
template <int THREADS, class F, int D, int N>
__device__ inline auto ownedRows(Staged<F, D, N> &memory, const Chunks<F, D> &x, long long first, int h, int count) {
    if constexpr (Fused<F, D>::HOLDS) {
        int skipped = threadIdx.x / 32 * 16;
        return HeldRows<F, D>(x, first + skipped, h, count - skipped);
    } else {
        memory.template fill<THREADS>(x, first, h, count);
        return StagedRows<F, D, N>{memory};
    }
}

// Rounds x [rows,heads,D] to chunks.
template <class F, int D>
__device__ inline void roundRows(const View &x, int rows, int heads, uint4 *to) {
    const int perRow = D / F::PER_CHUNK;
    long long step = (long long) gridDim.x * blockDim.x, all = (long long) rows * heads * perRow;
    for (long long i = (long long) blockIdx.x * blockDim.x + threadIdx.x; i < all; i += step) {
        to[i] = F::template chunk<D>(row(x, i / perRow / heads, i / perRow % heads), i % perRow);
    }
}

// The same for the operands of a forward pass, one along the grid's y.
template <class F, int D>
__device__ inline void roundOperands(const View &q, const View &k, const View &v, const Attention &p, uint4 *to) {
    Operands<F, D> in(to, p);
    if (blockIdx.y == 0) roundRows<F, D>(q, p.rows, p.heads, (uint4 *) in.q.data);
    if (blockIdx.y == 1) roundRows<F, D>(k, p.rows, p.groups, (uint4 *) in.k.data);
    if (blockIdx.y == 2) roundRows<F, D>(v, p.rows, p.groups, (uint4 *) in.v.data);
}

// s = own others^T
template <int N, class Own, class F, int D>
__device__ inline void products(float (&s)[N][4], const Own &own, const Staged<F, D, 8 * N> &others) {
    EACH_RESULT(N, n, e) s[n][e] = 0;
#pragma unroll Own::UNROLL
    for (int block = 0; block < Own::BLOCKS; block++) {
        uint4 low = own.chunk(block, 0), high = own.chunk(block, 1);
        unsigned first[4] = {low.x, high.x, low.y, high.y}, second[4] = {low.z, high.z, low.w, high.w};
#pragma unroll
        for (int n = 0; n < N; n++) {
            uint4 b = others.at(8 * n + laneRow(), 4 * block + laneColumn());
            F::mma(s[n], first, b.x, b.y);
            F::mma(s[n], second, b.z, b.w);
        }
    }
}

// Scores, capped, in units of log 2, from products.
template <int N>
__device__ inline void score(float (&s)[N][4], const Attention &p) {
    if (p.cap > 0) {
        EACH_RESULT(N, n, e) s[n][e] = p.cap * LOG2_E * tanhf(p.scale / p.cap * s[n][e]);
    } else {
        EACH_RESULT(N, n, e) s[n][e] *= p.scale * LOG2_E;
    }
}

// The derivative of the cap, from such a score.
__device__ inline float slope(const Attention &p, float score) {
    float part = score / (p.cap * LOG2_E);
    return 1 - part * part;
}

// Whether of queries t .. t + T - 1 any sees any of keys j .. j + J - 1.
__device__ inline bool anySees(const Attention &p, int t, int T, int j, int J, int length) {
    return t < length && j <= t + T - 1 && t - (j + J - 1) < p.window;
}

// Whether all see all.
__device__ inline bool allSee(const Attention &p, int t, int T, int j, int J, int length) {
    return t + T <= length && j + J - 1 <= t && t + T - 1 - j < p.window;
}

// Writes factor[r / 8] * sums to rows first + r of head h, for r < count; rounded, of rows of `heads` heads, too.
template <class F, int D>
__device__ inline void writeRows(const View &to, long long first, int h, int count, const float (&sums)[D / 8][4],
                                 const float (&factor)[2], Rounded rounded = {}, int heads = 0) {
#pragma unroll
    for (int half = 0; half < 2; half++) {
        int r = laneRow() + 8 * half;
        if (r >= count) continue;
        float *target = row(to, first + r, h);
#pragma unroll
        for (int d = 0; d < D / 8; d += 4) {
            int chunk = d / F::PER_CHUNK * 8 + 2 * laneColumn(), quarter = d % F::PER_CHUNK / 4;
#pragma unroll
            for (int side = 0; side < 2; side++) {
                int e = 2 * half + side, column = F::template column<D>(chunk + side, quarter);
                Some<4> four = {{factor[half] * sums[d][e], factor[half] * sums[d + 1][e],
                                 factor[half] * sums[d + 2][e], factor[half] * sums[d + 3][e]}};
                putSome(target, column, four);
                rounded.put((first + r) * heads + h, D, column, four);
            }
        }
    }
}

// Takes scores s into the running softmax of rows: makes them exp(s - peak), and shrinks what was summed before.
template <int N, int SUMS>
__device__ inline void soften(float (&s)[N][4], float (&peak)[2], float (&total)[2], float (&sums)[SUMS][4]) {
    float base[2], shrink[2];
#pragma unroll
    for (int half = 0; half < 2; half++) {
        float most = peak[half];
#pragma unroll
        for (int n = 0; n < N; n++) most = fmaxf(most, fmaxf(s[n][2 * half], s[n][2 * half + 1]));
        most = quadMax(most);
        base[half] = most == -INFINITY ? 0 : most; // a row that has seen no key yet
        shrink[half] = fastExp2(peak[half] - base[half]);
        peak[half] = most;
        total[half] *= shrink[half];
    }
    EACH_RESULT(N, n, e) {
        s[n][e] = fastExp2(s[n][e] - base[e / 2]);
        total[e / 2] += s[n][e];
    }
    EACH_RESULT(SUMS, n, e) sums[n][e] *= shrink[e / 2];
}

// Heads along x, so that the parts with most keys, which are first, start first.
template <class F, int D>
__device__ inline void fusedForward(
        const uint4 *operands, const Attention &p, const int *parts, const View &z, const View &lse, Rounded rounded) {
    constexpr int KEYS = Fused<F, D>::OWNED, QUERIES = Fused<F, D>::QUERIES, THREADS = 2 * QUERIES, N = KEYS / 8;
    __shared__ Staged<F, D, KEYS> keys, values;
    Part part = partOf(parts, blockIdx.y);
    Operands<F, D> in(operands, p);
    int h = blockIdx.x, g = h / (p.heads / p.groups), first = part.first + threadIdx.x / 32 * 16;
    int end = min(part.first + QUERIES, part.length), begin = firstKey(p, part.first);
    keys.template fill<THREADS>(in.k, part.start + begin, g, end - begin);
    HeldRows<F, D> queries(in.q, part.start + first, h, part.length - first);
    float sums[D / 8][4] = {}, peak[2] = {-INFINITY, -INFINITY}, total[2] = {};
    for (int j0 = begin; j0 < end; j0 += KEYS) {
        bool any = anySees(p, first, 16, j0, KEYS, part.length);
        float s[N][4];
        awaitCopies();
        __syncthreads(); // keys are there, and all are done with values
        values.template fill<THREADS>(in.v, part.start + j0, g, end - j0);
        if (any) {
            products(s, queries, keys);
            score(s, p);
            if (!allSee(p, first, 16, j0, KEYS, part.length)) {
                EACH_RESULT(N, n, e) {
                    if (!permitted(p, first + rowOf(e), j0 + columnOf(n, e), part.length)) s[n][e] = -INFINITY;
                }
            }
            soften(s, peak, total, sums);
        }
        awaitCopies();
        __syncthreads(); // values are there, and all are done with keys
        if (j0 + KEYS < end) keys.template fill<THREADS>(in.k, part.start + j0 + KEYS, g, end - j0 - KEYS);
        if (any) F::accumulate(sums, s, values);
    }
    float sum[2] = {quadSum(total[0]), quadSum(total[1])}, factor[2] = {1 / sum[0], 1 / sum[1]};
    writeRows<F, D>(z, part.start + first, h, part.length - first, sums, factor, rounded, p.heads);
    if (laneColumn() == 0) {
#pragma unroll
        for (int half = 0; half < 2; half++) {
            int t = first + laneRow() + 8 * half;
            if (t < part.length) row(lse, part.start + t)[h] = (peak[half] + log2f(sum[half])) * LN_2;
        }
    }
}

// The product of two rows, over the four lanes that share them.
template <int D>
__device__ inline float quadDot(const float *a, const float *b) {
    float sum = 0;
#pragma unroll 2
    for (int d = 4 * laneColumn(); d < D; d += 16) {
        float4 x = *(const float4 *) (a + d), y = *(const float4 *) (b + d);
        sum += x.x * y.x + x.y * y.y + x.z * y.z + x.w * y.w;
    }
    return quadSum(sum);
}

// attention: z[t] = sum_j A[t,j] v[j]. Writes dq and, for fusedVjpKey, delta[t] = sum_j A[t,j] dA[t,j] = dz[t] z[t].
template <class F, int D>
__device__ inline void fusedVjpQuery(const uint4 *cotangents, const uint4 *operands, const View &lse, const Attention &p,
                                     const int *parts, const View &dz, const View &z, const View &dq, const View &delta) {
    constexpr int OWNED = Fused<F, D>::OWNED, KEYS = Fused<F, D>::PASSING, THREADS = 2 * OWNED, N = KEYS / 8;
    __shared__ Staged<F, D, Fused<F, D>::HOLDS ? 1 : OWNED> own;
    __shared__ Staged<F, D, KEYS> keys[2], values[2];
    Part part = partOf(parts, blockIdx.y);
    Operands<F, D> in(operands, p);
    int h = blockIdx.x, g = h / (p.heads / p.groups), first = part.first + threadIdx.x / 32 * 16;
    int end = min(part.first + OWNED, part.length), begin = firstKey(p, part.first);
    auto queries = ownedRows<THREADS>(own, in.q, part.start + part.first, h, part.length - part.first);
    int start = part.start, dStart = blockIdx.z * p.rows + start;
    keys[0].template fill<THREADS>(in.k, start + begin, g, end - begin);
    values[0].template fill<THREADS>(in.v, start + begin, g, end - begin);
    HeldRows<F, D> dQueries({cotangents, p.heads}, dStart + first, h, part.length - first);
    float sums[D / 8][4] = {}, known[2] = {}, mean[2] = {};
#pragma unroll
    for (int half = 0; half < 2; half++) {
        int t = first + laneRow() + 8 * half;
        bool is = t < part.length;
        int any = is ? t : part.length - 1; // all lanes take part in the sum
        mean[half] = quadDot<D>(row(dz, dStart + any, h), row(z, start + any, h));
        known[half] = row(lse, start + any)[h] * LOG2_E;
        if (is && laneColumn() == 0) row(delta, dStart + t)[h] = mean[half];
    }
    for (int j0 = begin, now = 0; j0 < end; j0 += KEYS, now ^= 1) {
        awaitCopies();
        __syncthreads(); // this tile is there, and all are done with the one before
        if (j0 + KEYS < end) {
            keys[now ^ 1].template fill<THREADS>(in.k, start + j0 + KEYS, g, end - j0 - KEYS);
            values[now ^ 1].template fill<THREADS>(in.v, start + j0 + KEYS, g, end - j0 - KEYS);
        }
        if (!anySees(p, first, 16, j0, KEYS, part.length)) continue;
        float s[N][4], dA[N][4];
        products(s, queries, keys[now]);
        products(dA, dQueries, values[now]);
        score(s, p);
        bool all = allSee(p, first, 16, j0, KEYS, part.length);
        EACH_RESULT(N, n, e) {
            bool sees = all || permitted(p, first + rowOf(e), j0 + columnOf(n, e), part.length);
            float a = sees ? fastExp2(s[n][e] - known[e / 2]) : 0;
            s[n][e] = a * (dA[n][e] - mean[e / 2]) * (p.cap > 0 ? slope(p, s[n][e]) : 1);
        }
        F::accumulate(sums, s, keys[now]);
    }
    writeRows<F, D>(dq, dStart + first, h, part.length - first, sums, {p.scale, p.scale});
}

// A value for each column of a warp's results, of which each lane keeps some.
template <int N>
struct Columns {
    float kept[(N + 3) / 4];

    // Values of head h from row first on, zeros from `count` on.
    __device__ inline Columns(const View &v, long long first, int h, int count) {
#pragma unroll
        for (int i = 0; i < (N + 3) / 4; i++) {
            int t = 32 * i + threadIdx.x % 32;
            kept[i] = t < count ? row(v, first + t)[h] : 0;
        }
    }

    // That of results (n, e) and (n, e + 2); all lanes have to ask.
    __device__ inline float at(int n, int e) const {
        return __shfl_sync(0xffffffffu, kept[n / 4], columnOf(n, e) % 32);
    }
};

// attention: z[t] = sum_j A[t,j] v[j]. Writes dv and, if not frozen, dk, summed over the heads of the group; the parts with most
// queries are last.
template <class F, int D, bool FROZEN_PATTERN> // then delta and dk are not touched
__device__ inline void fusedVjpKey(const uint4 *cotangents, const uint4 *operands, const View &lse, const Attention &p,
                                   const int *parts, const View &delta, const View &dk, const View &dv) {
    constexpr int OWNED = Fused<F, D>::OWNED, QUERIES = Fused<F, D>::PASSING, THREADS = 2 * OWNED, N = QUERIES / 8;
    __shared__ Staged<F, D, OWNED> keys, values;
    __shared__ Staged<F, D, QUERIES> queries, dQueries;
    Part part = partOf(parts, gridDim.y - 1 - blockIdx.y);
    Operands<F, D> in(operands, p);
    Chunks<F, D> dz = {cotangents, p.heads};
    int g = blockIdx.x, perGroup = p.heads / p.groups, first = part.first + threadIdx.x / 32 * 16;
    int start = part.start, dStart = blockIdx.z * p.rows + start;
    int lastKey = min(part.first + OWNED, part.length) - 1;
    int end = p.window >= part.length - lastKey ? part.length : lastKey + p.window;
    keys.template fill<THREADS>(in.k, start + part.first, g, part.length - part.first);
    if (!FROZEN_PATTERN) values.template fill<THREADS>(in.v, start + part.first, g, part.length - part.first);
    float sumsK[D / 8][4] = {}, sumsV[D / 8][4] = {};
    for (int h = g * perGroup; h < (g + 1) * perGroup; h++) {
        queries.template fill<THREADS>(in.q, start + part.first, h, end - part.first);
        dQueries.template fill<THREADS>(dz, dStart + part.first, h, end - part.first);
        for (int t0 = part.first; t0 < end; t0 += QUERIES) {
            bool any = anySees(p, t0, QUERIES, first, 16, end);
            float s[N][4], dA[N][4];
            awaitCopies();
            __syncthreads(); // the tile is there
            if (any) {
                Columns<N> known(lse, start + t0, h, end - t0);
                products(s, StagedRows<F, D, OWNED>{keys}, queries);
                score(s, p);
                bool all = allSee(p, t0, QUERIES, first, 16, end);
#pragma unroll
                for (int n = 0; n < N; n++) {
                    float total[2] = {known.at(n, 0) * LOG2_E, known.at(n, 1) * LOG2_E};
#pragma unroll
                    for (int e = 0; e < 4; e++) {
                        bool sees = all || permitted(p, t0 + columnOf(n, e), first + rowOf(e), end);
                        s[n][e] = sees ? fastExp2(s[n][e] - total[e % 2]) : 0;
                    }
                }
                F::accumulate(sumsV, s, dQueries);
                if constexpr (!FROZEN_PATTERN) {
                    products(dA, StagedRows<F, D, OWNED>{values}, dQueries);
                    Columns<N> means(delta, dStart + t0, h, end - t0);
#pragma unroll
                    for (int n = 0; n < N; n++) {
                        float total[2] = {known.at(n, 0) * LOG2_E, known.at(n, 1) * LOG2_E};
                        float mean[2] = {means.at(n, 0), means.at(n, 1)};
#pragma unroll
                        for (int e = 0; e < 4; e++) {
                            dA[n][e] = s[n][e] * (dA[n][e] - mean[e % 2]);
                            if (p.cap > 0 && s[n][e] > 0) dA[n][e] *= slope(p, total[e % 2] + log2f(s[n][e]));
                        }
                    }
                }
            }
            __syncthreads(); // all are done with dQueries
            if (t0 + QUERIES < end) dQueries.template fill<THREADS>(dz, dStart + t0 + QUERIES, h, end - t0 - QUERIES);
            if (any && !FROZEN_PATTERN) F::accumulate(sumsK, dA, queries);
            __syncthreads(); // and with queries
            if (t0 + QUERIES < end) queries.template fill<THREADS>(in.q, start + t0 + QUERIES, h, end - t0 - QUERIES);
        }
    }
    writeRows<F, D>(dv, dStart + first, g, part.length - first, sumsV, {1, 1});
    if (!FROZEN_PATTERN) writeRows<F, D>(dk, dStart + first, g, part.length - first, sumsK, {p.scale, p.scale});
}

#define FUSED_ATTENTION(F, D)                                                                                              \
    extern "C" __global__ void fusedOperands##F##x##D(View q, View k, View v, Attention p, uint4 *to) {                    \
        roundOperands<F, D>(q, k, v, p, to);                                                                               \
    }                                                                                                                      \
    extern "C" __global__ void fusedCotangents##F##x##D(View dz, Attention p, uint4 *to) {                                 \
        roundRows<F, D>(dz, p.rows * p.cotangents, p.heads, to);                                                           \
    }                                                                                                                      \
    extern "C" __global__ void __launch_bounds__(2 * Fused<F, D>::QUERIES, 2) fusedForward##F##x##D(                       \
            const uint4 *operands, Attention p, const int *parts, View z, View lse, Rounded rounded) {                     \
        fusedForward<F, D>(operands, p, parts, z, lse, rounded);                                                           \
    }                                                                                                                      \
    extern "C" __global__ void __launch_bounds__(2 * Fused<F, D>::OWNED, 2) fusedVjpQuery##F##x##D(                        \
            const uint4 *cotangents, const uint4 *operands, View lse, Attention p, const int *parts, View dz, View z,      \
            View dq, View delta) {                                                                                         \
        fusedVjpQuery<F, D>(cotangents, operands, lse, p, parts, dz, z, dq, delta);                                        \
    }                                                                                                                      \
    extern "C" __global__ void __launch_bounds__(2 * Fused<F, D>::OWNED, 2) fusedVjpKey##F##x##D(                          \
            const uint4 *cotangents, const uint4 *operands, View lse, Attention p, const int *parts, View delta, View dk,  \
            View dv) {                                                                                                     \
        fusedVjpKey<F, D, false>(cotangents, operands, lse, p, parts, delta, dk, dv);                                      \
    }                                                                                                                      \
    extern "C" __global__ void __launch_bounds__(2 * Fused<F, D>::OWNED, 2) fusedVjpFrozen##F##x##D(                       \
            const uint4 *cotangents, const uint4 *operands, View lse, Attention p, const int *parts, View dv) {            \
        fusedVjpKey<F, D, true>(cotangents, operands, lse, p, parts, dv, dv, dv);                                          \
    }

FUSED_ATTENTION(Bf16, 64)
FUSED_ATTENTION(Bf16, 128)
FUSED_ATTENTION(Tf32, 64)
FUSED_ATTENTION(Tf32, 128)

// mma.sync: every lane shows its operands to the warp and computes its own four results. Fragments lie as the PTX ISA says
// ("Matrix Fragments for mma.m16n8k16 with floating point type", "for mma.m16n8k8"), whatever the kernels assume. Sums are
// exact but for one rounding at the end; a tensor core may drop bits on the way.
#include "cuda_shim.h"
#include "emulator.h"

namespace {

long products; // so far, of whole warps

// Two to a register, the lower half first: K = 16.
struct Bf16 {
    static const int K = 16;

    static float element(const unsigned *registers, int i, int k) {
        return __uint_as_float(k % 2 ? registers[i] & 0xFFFF0000u : registers[i] << 16);
    }

    static int lane(int outer, int k) { return 4 * outer + k % 8 / 2; }

    static int half(int k) { return k / 8; }
};

// One to a register, of which the low 13 bits are not looked at: K = 8.
struct Tf32 {
    static const int K = 8;

    static float element(const unsigned *registers, int i, int) { return __uint_as_float(registers[i] & ~0x1FFFu); }

    static int lane(int outer, int k) { return 4 * outer + k % 4; }

    static int half(int k) { return k / 4; }
};

// a0: rows 0 to 7 of the first half of k, a1: rows 8 to 15; a2, a3: the second half. b0, b1: the halves of k.
template <class F>
void multiply(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    const unsigned mine[MOST_SHOWN] = {a[0], a[1], a[2], a[3], b[0], b[1]};
    const unsigned *shown = emulatedExchange(mine, MOST_SHOWN);
    int lane = (int) threadIdx.x % 32;
    products += lane == 0;
    double sums[4] = {d[0], d[1], d[2], d[3]};
    for (int k = 0; k < F::K; k++) {
        const unsigned *left = shown + F::lane(lane / 4, k) * SHOWN_STRIDE;
        float rows[2] = {F::element(left, 2 * F::half(k), k), F::element(left, 1 + 2 * F::half(k), k)};
        for (int column = 0; column < 2; column++) {
            const unsigned *right = shown + F::lane(lane % 4 * 2 + column, k) * SHOWN_STRIDE;
            double y = F::element(right, 4 + F::half(k), k);
            sums[column] += rows[0] * y;
            sums[2 + column] += rows[1] * y;
        }
    }
    for (int i = 0; i < 4; i++) d[i] = (float) sums[i];
}

} // namespace

void mmaBf16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) { multiply<Bf16>(d, a, b); }

void mmaTf32(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) { multiply<Tf32>(d, a, b); }

EXPORT long emulator_tensor_products() {
    std::lock_guard<std::recursive_mutex> locked(emulator::lock());
    return products;
}

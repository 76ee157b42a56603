// The same kernels that nvcc compiles, and their table.
#include "emulator.h"
#include "kernels.cu"
#include <map>
#include <string>
#include <tuple>

namespace {

template <class... A, size_t... I>
std::tuple<A...> copyArguments(void **arguments, std::index_sequence<I...>) {
    return std::tuple<A...>(*(A *) arguments[I]...);
}

template <class... A>
emulator::Kernel kernel(void (*function)(A...)) {
    return [function](void **arguments) {
        std::tuple<A...> copied = copyArguments<A...>(arguments, std::index_sequence_for<A...>{});
        return std::function<void()>([function, copied] { std::apply(function, copied); });
    };
}

#define ENTRY(name) {#name, kernel(name)}
#define FUSED_ENTRIES(F, D) \
    ENTRY(fusedOperands##F##x##D), ENTRY(fusedCotangents##F##x##D), \
    ENTRY(fusedForward##F##x##D), ENTRY(fusedVjpQuery##F##x##D), ENTRY(fusedVjpKey##F##x##D), ENTRY(fusedVjpFrozen##F##x##D)

const std::map<std::string, emulator::Kernel> &table() {
    static const std::map<std::string, emulator::Kernel> kernels = {
        ENTRY(copy), ENTRY(addScaled), ENTRY(broadcast), ENTRY(gather), ENTRY(normForward), ENTRY(normVjp),
        ENTRY(activation), ENTRY(activationVjp), ENTRY(gated), ENTRY(gatedVjp), ENTRY(softCap), ENTRY(rotate),
        ENTRY(attention), ENTRY(attentionVjpQuery), ENTRY(attentionVjpKey), ENTRY(attentionVjpFrozen),
        ENTRY(attentionPattern), ENTRY(scoresSoftmax), ENTRY(scoresPattern), ENTRY(scoresVjp),
        FUSED_ENTRIES(Bf16, 64), FUSED_ENTRIES(Bf16, 128), FUSED_ENTRIES(Tf32, 64), FUSED_ENTRIES(Tf32, 128)};
    return kernels;
}

} // namespace

const emulator::Kernel *emulator::findKernel(const char *name) {
    auto found = table().find(name);
    return found == table().end() ? nullptr : &found->second;
}

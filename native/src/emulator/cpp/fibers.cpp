// Blocks one after the other, the threads of a block as fibers that switch at barriers.
#include "emulator.h"
#include "cuda_shim.h"
#include <csetjmp>
#include <cstdio>
#include <memory>
#include <ucontext.h>
#include <vector>

EmulatedIndex threadIdx, blockIdx, blockDim, gridDim;

namespace {

const size_t STACK = 64 << 10;
const unsigned WARP = 32;
struct Copy {
    uint4 *to;
    const uint4 *from; // nullptr: zeros
};

enum State { READY, AT_BLOCK_BARRIER, AT_WARP_BARRIER, DONE };

struct Fiber {
    std::unique_ptr<char[]> stack{new char[STACK]};
    ucontext_t context; // where it starts; later switches by longjmp are cheap, they leave the signal mask alone
    jmp_buf resume;
    bool started = false;
    std::vector<Copy> copies; // begun
    State state;
    unsigned exchanges;
};

std::vector<Fiber> fibers;
// Of each thread two slots in turn: nobody can be two exchanges ahead of a lane that has yet to read.
std::vector<unsigned> shown;
jmp_buf scheduler;
unsigned current;
const std::function<void()> *body;

void pause(State state) {
    Fiber &me = fibers[current];
    me.state = state;
    if (!_setjmp(me.resume)) _longjmp(scheduler, 1);
}

// A fiber lives on from block to block: starting one is what costs.
void live() {
    for (;;) {
        (*body)();
        pause(DONE);
    }
}

void prepare(Fiber &f) {
    if (!f.started) {
        getcontext(&f.context);
        f.context.uc_stack.ss_sp = f.stack.get();
        f.context.uc_stack.ss_size = STACK;
        f.context.uc_link = nullptr;
        makecontext(&f.context, live, 0);
    }
    f.state = READY;
    f.exchanges = 0;
    f.copies.clear();
}

void run(unsigned i) {
    current = i;
    threadIdx = {i % blockDim.x, i / blockDim.x % blockDim.y, i / (blockDim.x * blockDim.y)};
    if (_setjmp(scheduler)) return;
    if (fibers[i].started) _longjmp(fibers[i].resume, 1);
    fibers[i].started = true;
    setcontext(&fibers[i].context);
}

// Releases the fibers from first on, if all of them wait at the barrier.
bool release(State barrier, unsigned first, unsigned end) {
    for (unsigned i = first; i < end; i++) {
        if (fibers[i].state != barrier) return false;
    }
    for (unsigned i = first; i < end; i++) fibers[i].state = READY;
    return true;
}

// Lets the threads of a warp that can go on; whether there was any.
bool runWarp(unsigned first, unsigned end, bool backwards) {
    bool progress = false;
    for (unsigned step = 0; step < end - first; step++) {
        unsigned i = backwards ? end - 1 - step : first + step;
        if (fibers[i].state == READY) {
            run(i);
            progress = true;
        }
    }
    return release(AT_WARP_BARRIER, first, end) || progress;
}

// Runs each warp as far ahead of the others as barriers allow, and every other block backwards: what lacks a barrier then
// shows, whichever thread should come first.
bool runBlock(unsigned threads, bool backwards) {
    unsigned warps = (threads + WARP - 1) / WARP;
    for (unsigned i = 0; i < threads; i++) prepare(fibers[i]);
    for (;;) {
        for (unsigned step = 0; step < warps; step++) {
            unsigned w = backwards ? warps - 1 - step : step;
            while (runWarp(w * WARP, std::min(w * WARP + WARP, threads), backwards)) {
            }
        }
        unsigned done = 0;
        for (unsigned i = 0; i < threads; i++) done += fibers[i].state == DONE;
        if (done == threads) return true;
        if (!release(AT_BLOCK_BARRIER, 0, threads)) {
            fprintf(stderr, "emulator: not all threads of block (%u,%u,%u) reach a barrier\n", blockIdx.x, blockIdx.y,
                    blockIdx.z);
            for (Fiber &f : fibers) f.started = false; // the stuck ones start afresh
            return false;
        }
    }
}

} // namespace

void emulatedBlockBarrier() { pause(AT_BLOCK_BARRIER); }

void emulatedWarpBarrier() { pause(AT_WARP_BARRIER); }

const unsigned *emulatedExchange(const unsigned *words, unsigned count) {
    unsigned slot = fibers[current].exchanges++ % 2 * MOST_SHOWN;
    std::copy(words, words + count, &shown[current * SHOWN_STRIDE + slot]);
    const unsigned *first = &shown[current / WARP * WARP * SHOWN_STRIDE + slot];
    pause(AT_WARP_BARRIER);
    return first;
}

float emulatedShuffle(float value, int lane) {
    unsigned bits = __float_as_uint(value);
    return __uint_as_float(emulatedExchange(&bits, 1)[(unsigned) lane * SHOWN_STRIDE]);
}

float emulatedShuffleXor(float value, int laneMask) {
    return emulatedShuffle(value, (int) (current % WARP ^ (unsigned) laneMask));
}

void copyAsync(uint4 *to, const uint4 *from, bool present) {
    fibers[current].copies.push_back({to, present ? from : nullptr});
}

void awaitCopies() {
    for (const Copy &copy : fibers[current].copies) *copy.to = copy.from ? *copy.from : uint4{0, 0, 0, 0};
    fibers[current].copies.clear();
}

bool emulator::runGrid(Shape grid, Shape block, const std::function<void()> &kernel) {
    gridDim = {grid.x, grid.y, grid.z};
    blockDim = {block.x, block.y, block.z};
    unsigned threads = block.x * block.y * block.z;
    if (fibers.size() < threads) {
        fibers.resize(threads);
        shown.resize(threads * SHOWN_STRIDE);
    }
    body = &kernel;
    for (unsigned z = 0; z < grid.z; z++) {
        for (unsigned y = 0; y < grid.y; y++) {
            for (unsigned x = 0; x < grid.x; x++) {
                blockIdx = {x, y, z};
                if (!runBlock(threads, (x + y + z) % 2 != 0)) return false;
            }
        }
    }
    return true;
}

// The emulated machine's state, shared by driver.cpp and streams.cpp.
#pragma once
#include "emulator.h"
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <vector>

namespace emulator {

const size_t GUARD = 256;              // bytes watched before and after every allocation
const unsigned char POISON = 0xCD;     // what fresh memory and its guards hold
const size_t DEFAULT_MEMORY = 4ull << 30;

typedef std::function<Result()> Work;

struct Allocation {
    std::unique_ptr<unsigned char[]> memory; // GUARD, aligned start, size, GUARD
    unsigned char *start;
    size_t size;
};

// Page-locked host memory; queued copies keep it alive, poisoned, so that freeing it too early shows.
struct Pinned {
    std::shared_ptr<unsigned char> memory;
    size_t size;
};

struct Stream {
    std::deque<Work> pending;
    bool capturing = false, invalidated = false;
    std::vector<Work> captured;
};

struct Machine {
    bool initialised, absent;
    Result broken;
    int retained;
    size_t memory = DEFAULT_MEMORY, used;
    long allocationsUntilFailure, launchesUntilFailure; // 0: none ahead
    long objects, damaged, synchronisations, graphLaunches;
    std::map<uintptr_t, Allocation> live;
    std::map<uintptr_t, Pinned> pinned;
    std::map<void *, std::unique_ptr<Stream>> streams;
};

extern Machine machine;
extern thread_local bool contextIsCurrent;

typedef std::lock_guard<std::recursive_mutex> Locked;
#define LOCKED Locked locked(emulator::lock())
// A failed kernel poisons the context: from then on every call answers with its error.
#define USABLE                                                  \
    LOCKED;                                                     \
    if (!machine.initialised) return NOT_INITIALIZED;           \
    if (!contextIsCurrent || !machine.retained) return INVALID_CONTEXT; \
    if (machine.broken) return machine.broken
// What cannot become part of a graph invalidates the capture. A driver would take allocations from the pool; nothing
// here should make any.
#define NOT_CAPTURED(stream) \
    if (invalidatesCapture(stream)) return STREAM_CAPTURE_UNSUPPORTED

bool counted(long &until);
bool invalidatesCapture(void *stream);
Result drain(Stream &stream);

} // namespace emulator

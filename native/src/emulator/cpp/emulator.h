// The emulator: CUDA's driver API and the part of cuBLAS that obsprop calls, on the CPU. A test double, never a backend.
//
// It is stricter than a driver where that shows mistakes: work on a stream runs only when the stream is synchronised,
// memory is filled with 0xCD, its surroundings are watched, copies and matrices must lie within one live allocation.
#pragma once
#include <cstddef>
#include <functional>
#include <mutex>

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace emulator {

enum Result {
    SUCCESS = 0,
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    NOT_INITIALIZED = 3,
    NO_DEVICE = 100,
    INVALID_DEVICE = 101,
    INVALID_IMAGE = 200,
    INVALID_CONTEXT = 201,
    INVALID_HANDLE = 400,
    ILLEGAL_STATE = 401,
    NOT_FOUND = 500,
    LAUNCH_FAILED = 719,
    STREAM_CAPTURE_UNSUPPORTED = 900,
    STREAM_CAPTURE_INVALIDATED = 901
};

struct Shape {
    unsigned x, y, z;
};

// Runs kernel once for every thread of every block; false after a barrier that not all threads of a block reach.
bool runGrid(Shape grid, Shape block, const std::function<void()> &kernel);

// A kernel by name: binds a launch's arguments, copying them; nullptr where there is none of that name.
typedef std::function<std::function<void()>(void **arguments)> Kernel;
const Kernel *findKernel(const char *name);

// What driver.cpp offers to blas.cpp. All API calls hold the lock.
std::recursive_mutex &lock();
bool isStream(const void *stream);
void enqueue(void *stream, std::function<Result()> work);
bool withinOneAllocation(const void *start, size_t bytes);
void countObject(int change);

} // namespace emulator

// The driver API on the CPU but for streams and graphs, and the emulator's own controls.
#include "machine.h"
#include <cstdio>
#include <cstdlib>
#include <cstring>

using namespace emulator;

namespace {

const unsigned FATBIN_MAGIC = 0xBA55ED50;
const char *const DEVICE_NAME = "obsprop CUDA emulator on the CPU (not a GPU)";

void dispose(const Allocation &a) {
    for (size_t i = 1; i <= GUARD; i++) {
        if (a.start[-i] != POISON || a.start[a.size + i - 1] != POISON) {
            fprintf(stderr, "emulator: something wrote outside an allocation of %zu bytes\n", a.size);
            machine.damaged++;
            break;
        }
    }
}

long environment(const char *name) {
    const char *value = getenv(name);
    return value ? atol(value) : 0;
}

// Memory that the driver frees with the context is what the program forgot.
void releaseContext() {
    for (auto &s : machine.streams) drain(*s.second);
    if (!machine.live.empty() || machine.objects) {
        fprintf(stderr, "emulator: leaked %zu allocations, %ld objects\n", machine.live.size(), machine.objects);
    }
    for (auto &a : machine.live) dispose(a.second);
    machine.live.clear();
    machine.pinned.clear();
    machine.used = 0;
    machine.streams.clear();
    machine.objects = 0;
    machine.broken = SUCCESS;
}

// The page-locked memory that holds these bytes, if any.
std::shared_ptr<unsigned char> pinnedAround(const void *start, size_t bytes) {
    auto after = machine.pinned.upper_bound((uintptr_t) start);
    if (after == machine.pinned.begin()) return nullptr;
    auto found = --after;
    return (uintptr_t) start + bytes <= found->first + found->second.size ? found->second.memory : nullptr;
}

} // namespace

Machine emulator::machine;
thread_local bool emulator::contextIsCurrent;

std::recursive_mutex &emulator::lock() {
    static std::recursive_mutex mutex;
    return mutex;
}

bool emulator::counted(long &until) { return until > 0 && --until == 0; }

bool emulator::withinOneAllocation(const void *start, size_t bytes) {
    auto after = machine.live.upper_bound((uintptr_t) start);
    if (after == machine.live.begin()) return false;
    const Allocation &a = (--after)->second;
    return (unsigned char *) start + bytes <= a.start + a.size;
}

void emulator::countObject(int change) { machine.objects += change; }

// ---- controls, for tests

EXPORT void emulator_reset() {
    LOCKED;
    machine.absent = false;
    machine.memory = DEFAULT_MEMORY;
    machine.allocationsUntilFailure = machine.launchesUntilFailure = 0;
    machine.damaged = 0;
}
EXPORT void emulator_remove_device() { LOCKED; machine.absent = true; }
EXPORT void emulator_limit_memory(long bytes) { LOCKED; machine.memory = bytes; }
EXPORT void emulator_fail_allocation(long nth) { LOCKED; machine.allocationsUntilFailure = nth; }
EXPORT void emulator_fail_launch(long nth) { LOCKED; machine.launchesUntilFailure = nth; }
EXPORT long emulator_live_allocations() { LOCKED; return (long) machine.live.size(); }
EXPORT long emulator_live_objects() { LOCKED; return machine.objects + machine.retained; }
EXPORT long emulator_damaged_allocations() { LOCKED; return machine.damaged; }
EXPORT long emulator_graph_launches() { LOCKED; return machine.graphLaunches; }

// ---- devices and contexts

EXPORT int cuInit(unsigned) {
    LOCKED;
    if (!machine.initialised) {
        machine.absent |= environment("OBSPROP_EMULATOR_NO_DEVICE") != 0;
        machine.allocationsUntilFailure += environment("OBSPROP_EMULATOR_FAIL_ALLOCATION");
        machine.launchesUntilFailure += environment("OBSPROP_EMULATOR_FAIL_LAUNCH");
        if (environment("OBSPROP_EMULATOR_MEMORY")) machine.memory = environment("OBSPROP_EMULATOR_MEMORY");
    }
    if (machine.absent) return NO_DEVICE;
    machine.initialised = true;
    return SUCCESS;
}
EXPORT int cuDriverGetVersion(int *version) { *version = 13000; return SUCCESS; }
EXPORT int cuGetErrorName(int error, const char **name) {
    static const std::map<int, const char *> names = {
        {SUCCESS, "CUDA_SUCCESS"}, {INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE"},
        {OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY"}, {NOT_INITIALIZED, "CUDA_ERROR_NOT_INITIALIZED"},
        {NO_DEVICE, "CUDA_ERROR_NO_DEVICE"}, {INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE"},
        {INVALID_IMAGE, "CUDA_ERROR_INVALID_IMAGE"}, {INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT"},
        {INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE"}, {NOT_FOUND, "CUDA_ERROR_NOT_FOUND"},
        {LAUNCH_FAILED, "CUDA_ERROR_LAUNCH_FAILED"},
        {STREAM_CAPTURE_UNSUPPORTED, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED"},
        {STREAM_CAPTURE_INVALIDATED, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED"}};
    auto found = names.find(error);
    *name = found == names.end() ? nullptr : found->second;
    return *name ? SUCCESS : INVALID_VALUE;
}
EXPORT int cuGetErrorString(int error, const char **text) {
    int result = cuGetErrorName(error, text);
    if (!result) *text = "as the emulator says";
    return result;
}
EXPORT int cuDeviceGetCount(int *count) { *count = machine.absent ? 0 : 1; return SUCCESS; }
EXPORT int cuDeviceGet(int *device, int ordinal) { *device = ordinal; return ordinal == 0 ? SUCCESS : INVALID_DEVICE; }
EXPORT int cuDeviceGetName(char *name, int length, int) {
    snprintf(name, length, "%s", DEVICE_NAME);
    return SUCCESS;
}
EXPORT int cuDeviceGetAttribute(int *value, int attribute, int) {
    *value = attribute == 75 ? 9 : attribute == 76 ? 0 : 1;
    return SUCCESS;
}
EXPORT int cuDeviceTotalMem_v2(size_t *bytes, int) { *bytes = machine.memory; return SUCCESS; }
EXPORT int cuDeviceGetDefaultMemPool(void **pool, int) { *pool = &machine; return SUCCESS; }
EXPORT int cuMemPoolSetAttribute(void *pool, int, void *) { return pool == &machine ? SUCCESS : INVALID_VALUE; }
EXPORT int cuDevicePrimaryCtxRetain(void **context, int device) {
    LOCKED;
    if (!machine.initialised) return NOT_INITIALIZED;
    if (device != 0) return INVALID_DEVICE;
    machine.retained++;
    *context = &machine;
    return SUCCESS;
}
EXPORT int cuDevicePrimaryCtxRelease_v2(int) {
    LOCKED;
    if (!machine.retained) return INVALID_CONTEXT;
    if (--machine.retained == 0) releaseContext();
    return SUCCESS;
}
EXPORT int cuCtxSetCurrent(void *context) {
    contextIsCurrent = context == &machine;
    return context && !contextIsCurrent ? INVALID_CONTEXT : SUCCESS;
}

// ---- memory

EXPORT int cuMemGetInfo_v2(size_t *free, size_t *total) {
    USABLE;
    *total = machine.memory;
    *free = machine.memory - machine.used;
    return SUCCESS;
}
EXPORT int cuMemAllocAsync(uintptr_t *pointer, size_t size, void *stream) {
    USABLE;
    if (!size || !isStream(stream)) return INVALID_VALUE;
    NOT_CAPTURED(stream);
    if (counted(machine.allocationsUntilFailure) || size > machine.memory - machine.used) return OUT_OF_MEMORY;
    size_t whole = size + 3 * GUARD;
    Allocation a{std::unique_ptr<unsigned char[]>(new unsigned char[whole]), nullptr, size};
    memset(a.memory.get(), POISON, whole);
    a.start = (unsigned char *) (((uintptr_t) a.memory.get() + 2 * GUARD - 1) / GUARD * GUARD);
    *pointer = (uintptr_t) a.start;
    machine.used += size;
    machine.live.emplace(*pointer, std::move(a));
    return SUCCESS;
}
EXPORT int cuMemFreeAsync(uintptr_t pointer, void *stream) {
    LOCKED;
    auto found = machine.live.find(pointer);
    if (found == machine.live.end() || !isStream(stream)) return INVALID_VALUE;
    NOT_CAPTURED(stream);
    std::shared_ptr<Allocation> a = std::make_shared<Allocation>(std::move(found->second));
    machine.live.erase(found);
    machine.used -= a->size;
    enqueue(stream, [a] {
        dispose(*a);
        return SUCCESS;
    });
    return machine.broken;
}
// The source is read before the call returns, unless it is page-locked.
EXPORT int cuMemcpyHtoDAsync_v2(uintptr_t to, const void *from, size_t bytes, void *stream) {
    USABLE;
    if (!isStream(stream) || !withinOneAllocation((void *) to, bytes)) return INVALID_VALUE;
    NOT_CAPTURED(stream);
    std::shared_ptr<unsigned char> locked_pages = pinnedAround(from, bytes);
    std::vector<char> staged;
    if (!locked_pages) staged.assign((const char *) from, (const char *) from + bytes);
    enqueue(stream, [=] {
        memcpy((void *) to, locked_pages ? from : staged.data(), bytes);
        return SUCCESS;
    });
    return SUCCESS;
}
EXPORT int cuMemcpyDtoHAsync_v2(void *to, uintptr_t from, size_t bytes, void *stream) {
    USABLE;
    if (!isStream(stream) || !withinOneAllocation((void *) from, bytes)) return INVALID_VALUE;
    NOT_CAPTURED(stream);
    enqueue(stream, [=] {
        memcpy(to, (void *) from, bytes);
        return SUCCESS;
    });
    return SUCCESS;
}
EXPORT int cuMemcpyDtoDAsync_v2(uintptr_t to, uintptr_t from, size_t bytes, void *stream) {
    USABLE;
    if (!isStream(stream) || !withinOneAllocation((void *) from, bytes) || !withinOneAllocation((void *) to, bytes)) {
        return INVALID_VALUE;
    }
    enqueue(stream, [=] {
        memmove((void *) to, (void *) from, bytes);
        return SUCCESS;
    });
    return SUCCESS;
}
EXPORT int cuMemsetD8Async(uintptr_t to, unsigned char value, size_t bytes, void *stream) {
    USABLE;
    if (!isStream(stream) || !withinOneAllocation((void *) to, bytes)) return INVALID_VALUE;
    enqueue(stream, [=] {
        memset((void *) to, value, bytes);
        return SUCCESS;
    });
    return SUCCESS;
}

EXPORT int cuMemHostAlloc(void **pointer, size_t size, unsigned) {
    USABLE;
    if (!size) return INVALID_VALUE;
    if (counted(machine.allocationsUntilFailure)) return OUT_OF_MEMORY;
    std::shared_ptr<unsigned char> memory(new unsigned char[size], std::default_delete<unsigned char[]>());
    memset(memory.get(), POISON, size);
    *pointer = memory.get();
    machine.pinned[(uintptr_t) *pointer] = {memory, size};
    countObject(1);
    return SUCCESS;
}
EXPORT int cuMemFreeHost(void *pointer) {
    LOCKED;
    auto found = machine.pinned.find((uintptr_t) pointer);
    if (found == machine.pinned.end()) return INVALID_VALUE;
    memset(pointer, POISON, found->second.size);
    machine.pinned.erase(found);
    countObject(-1);
    return SUCCESS;
}

// ---- modules and launches

EXPORT int cuModuleLoadData(void **module, const void *image) {
    USABLE;
    if (*(const unsigned *) image != FATBIN_MAGIC) return INVALID_IMAGE;
    *module = &machine;
    countObject(1);
    return SUCCESS;
}
EXPORT int cuModuleUnload(void *module) {
    LOCKED;
    if (module != &machine) return INVALID_HANDLE;
    countObject(-1);
    return SUCCESS;
}
EXPORT int cuModuleGetFunction(const void **function, void *module, const char *name) {
    USABLE;
    if (module != &machine) return INVALID_HANDLE;
    *function = findKernel(name);
    return *function ? SUCCESS : NOT_FOUND;
}
EXPORT int cuLaunchKernel(const void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by,
                          unsigned bz, unsigned, void *stream, void **arguments, void **) {
    USABLE;
    bool grid = gx && gx <= 0x7FFFFFFF && gy && gy <= 65535 && gz && gz <= 65535;
    bool block = bx && by && bz && bx <= 1024 && by <= 1024 && bz <= 64 && (size_t) bx * by * bz <= 1024;
    if (!function || !grid || !block || !isStream(stream)) return INVALID_VALUE;
    std::function<void()> body = (*(const Kernel *) function)(arguments);
    // counted when queued, or each time that a graph runs it
    bool inGraph = machine.streams[stream]->capturing, fails = !inGraph && counted(machine.launchesUntilFailure);
    enqueue(stream, [=] {
        bool failsNow = fails || (inGraph && counted(machine.launchesUntilFailure));
        return !failsNow && runGrid({gx, gy, gz}, {bx, by, bz}, body) ? SUCCESS : LAUNCH_FAILED;
    });
    return SUCCESS;
}

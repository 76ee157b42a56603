// Streams, events and graphs: work is queued, and runs when somebody waits for it.
#include "machine.h"

using namespace emulator;

namespace {

// An event that was recorded n times is complete when its stream has come to the n-th.
struct Event {
    Stream *on = nullptr;
    long recorded = 0, completed = 0;
};

struct Graph {
    std::vector<Work> nodes;
};

std::map<void *, std::shared_ptr<Event>> events;

Result runNext(Stream &stream) {
    Work work = std::move(stream.pending.front());
    stream.pending.pop_front();
    Result result = work();
    if (result) machine.broken = result;
    return machine.broken;
}

Result await(Event &event, long recorded) {
    while (!machine.broken && event.completed < recorded && !event.on->pending.empty()) runNext(*event.on);
    return machine.broken;
}

} // namespace

bool emulator::isStream(const void *stream) { return machine.streams.count(const_cast<void *>(stream)) > 0; }

void emulator::enqueue(void *stream, Work work) {
    Stream &s = *machine.streams[stream];
    if (s.capturing) s.captured.push_back(std::move(work));
    else s.pending.push_back(std::move(work));
}

bool emulator::invalidatesCapture(void *stream) {
    Stream &s = *machine.streams[stream];
    s.invalidated |= s.capturing;
    return s.capturing;
}

Result emulator::drain(Stream &stream) {
    while (!stream.pending.empty() && !machine.broken) runNext(stream);
    stream.pending.clear();
    return machine.broken;
}

EXPORT int cuStreamCreate(void **stream, unsigned) {
    USABLE;
    std::unique_ptr<Stream> created(new Stream);
    *stream = created.get();
    machine.streams.emplace(*stream, std::move(created));
    countObject(1);
    return SUCCESS;
}
// Every other time the other streams run first, as far as events let them: a missing event shows whichever stream is ahead.
EXPORT int cuStreamSynchronize(void *stream) {
    USABLE;
    if (!isStream(stream)) return INVALID_HANDLE;
    NOT_CAPTURED(stream);
    if (machine.synchronisations++ % 2) {
        for (auto &s : machine.streams) {
            if (s.first != stream) drain(*s.second);
        }
    }
    return drain(*machine.streams[stream]);
}
EXPORT int cuStreamDestroy_v2(void *stream) {
    LOCKED;
    if (!isStream(stream)) return INVALID_HANDLE;
    Result result = drain(*machine.streams[stream]);
    machine.streams.erase(stream);
    countObject(-1);
    return result;
}

// ---- events

EXPORT int cuEventCreate(void **event, unsigned) {
    USABLE;
    std::shared_ptr<Event> created = std::make_shared<Event>();
    *event = created.get();
    events[*event] = created;
    countObject(1);
    return SUCCESS;
}
EXPORT int cuEventRecord(void *handle, void *stream) {
    USABLE;
    auto found = events.find(handle);
    if (found == events.end() || !isStream(stream)) return INVALID_HANDLE;
    NOT_CAPTURED(stream);
    std::shared_ptr<Event> event = found->second;
    event->on = machine.streams[stream].get();
    long n = ++event->recorded;
    enqueue(stream, [event, n] {
        event->completed = n;
        return SUCCESS;
    });
    return SUCCESS;
}
EXPORT int cuStreamWaitEvent(void *stream, void *handle, unsigned) {
    USABLE;
    auto found = events.find(handle);
    if (found == events.end() || !isStream(stream)) return INVALID_HANDLE;
    NOT_CAPTURED(stream);
    std::shared_ptr<Event> event = found->second;
    long n = event->recorded;
    if (n) enqueue(stream, [event, n] { return await(*event, n); });
    return SUCCESS;
}
EXPORT int cuEventSynchronize(void *handle) {
    USABLE;
    auto found = events.find(handle);
    return found == events.end() ? INVALID_HANDLE : await(*found->second, found->second->recorded);
}
EXPORT int cuEventDestroy_v2(void *event) {
    LOCKED;
    if (!events.erase(event)) return INVALID_HANDLE;
    countObject(-1);
    return SUCCESS;
}

// ---- graphs

EXPORT int cuStreamBeginCapture_v2(void *stream, int) {
    USABLE;
    if (!isStream(stream)) return INVALID_HANDLE;
    Stream &s = *machine.streams[stream];
    if (s.capturing) return ILLEGAL_STATE;
    s.capturing = true;
    s.invalidated = false;
    s.captured.clear();
    return SUCCESS;
}
EXPORT int cuStreamEndCapture(void *stream, Graph **graph) {
    LOCKED;
    if (!isStream(stream)) return INVALID_HANDLE;
    Stream &s = *machine.streams[stream];
    if (!s.capturing) return ILLEGAL_STATE;
    s.capturing = false;
    *graph = nullptr;
    if (machine.broken) return machine.broken;
    if (s.invalidated) return STREAM_CAPTURE_INVALIDATED;
    *graph = new Graph{std::move(s.captured)};
    countObject(1);
    return SUCCESS;
}
EXPORT int cuGraphInstantiateWithFlags(Graph **executable, Graph *graph, unsigned long long) {
    USABLE;
    if (counted(machine.allocationsUntilFailure)) return OUT_OF_MEMORY;
    *executable = new Graph(*graph);
    countObject(1);
    return SUCCESS;
}
EXPORT int cuGraphLaunch(Graph *executable, void *stream) {
    USABLE;
    if (!isStream(stream)) return INVALID_HANDLE;
    NOT_CAPTURED(stream);
    machine.graphLaunches++;
    for (const Work &node : executable->nodes) enqueue(stream, node);
    return SUCCESS;
}
EXPORT int cuGraphDestroy(Graph *graph) {
    LOCKED;
    delete graph;
    countObject(-1);
    return SUCCESS;
}
EXPORT int cuGraphExecDestroy(Graph *executable) { return cuGraphDestroy(executable); }

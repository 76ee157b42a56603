package obsprop.kernel.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Optional;
import obsprop.cuda.CudaDevice;
import obsprop.cuda.CudaEvent;
import obsprop.cuda.CudaException;
import obsprop.cuda.CudaStream;
import obsprop.kernel.cuda.HostWeights.Layer;
import obsprop.kernel.cuda.HostWeights.Weight;
import obsprop.tensor.Place;
import obsprop.tensor.Tensor;

/**
 * Brings weights of blocks to the device when an operation needs them, a layer at a time, into one of two slots. The host
 * queues work far ahead of the device, so on a stream of its own a layer arrives while the one before still computes.
 */
final class LayerStream implements AutoCloseable {
    /** Page-locked memory that copies go through, each of two parts; less for small layers. */
    private static final long STAGE = 32 << 20;

    private final CudaDevice device;
    private final HostWeights weights;
    private Optional<Copier> copier = Optional.empty();
    private long operation;

    LayerStream(CudaDevice device, HostWeights weights) {
        this.device = device;
        this.weights = weights;
    }

    /** To be called before each operation: work queued from here on is of another one. */
    LayerStream begin() {
        operation++;
        return this;
    }

    /** {@code x} itself, or its copy on the device where it is a weight that stays on the host. */
    Tensor onDevice(Tensor x) {
        if (x.place() == Place.DEVICE) {
            return x;
        }
        Optional<Weight> found = weights.find(x);
        if (found.isEmpty()) {
            return x;
        }
        if (copier.isEmpty()) {
            copier = Optional.of(new Copier(Math.min(STAGE, weights.largest())));
        }
        Weight weight = found.get();
        MemorySegment layer = copier.get().resident(weight.layer());
        return x.over(layer.asSlice(weight.offsetOf(x.segment().address())), Place.DEVICE);
    }

    @Override
    public void close() {
        copier.ifPresent(Copier::close);
    }

    /** Device memory for one layer at a time. */
    private final class Slot {
        private final CudaEvent arrived = device.newEvent();
        private final CudaEvent idle = device.newEvent();
        private final Scratch memory = new Scratch(device);
        private MemorySegment bytes = MemorySegment.NULL;
        private Optional<Layer> layer = Optional.empty();
        private long lastUse;
        private boolean idleIsSet;

        boolean holds(Layer wanted) {
            return layer.isPresent() && layer.get() == wanted;
        }

        /** Others are used from now on: so far, and no further, whoever loads this slot again has to wait. */
        void leave() {
            idleIsSet = lastUse != operation; // an operation that is yet to be queued may read both slots
            if (idleIsSet) {
                idle.record(device.stream());
            }
        }
    }

    /** The slots, the second stream, and the memory that copies go through. */
    private final class Copier {
        private final Arena arena = Arena.ofShared();
        private final CudaStream copies;
        private final List<Slot> slots;
        private final List<MemorySegment> stages;
        private final List<CudaEvent> sent;
        private int stage;
        private Slot current;

        Copier(long stageBytes) {
            try {
                copies = device.newStream();
                slots = List.of(new Slot(), new Slot());
                sent = List.of(device.newEvent(), device.newEvent());
                stages = List.of(device.allocatePinned(stageBytes, arena), device.allocatePinned(stageBytes, arena));
            } catch (CudaException e) {
                arena.close();
                throw e;
            }
            current = slots.getFirst();
        }

        MemorySegment resident(Layer layer) {
            Slot slot = slots.stream().filter(s -> s.holds(layer)).findFirst().orElseGet(() -> load(layer));
            if (slot != current) {
                current.leave();
                current = slot;
            }
            slot.lastUse = operation;
            return slot.bytes;
        }

        private Slot load(Layer layer) {
            Slot slot = slots.get(slots.indexOf(current) == 0 ? 1 : 0);
            slot.layer = Optional.empty();
            if (slot.bytes.byteSize() < layer.bytes()) {
                slot.bytes = MemorySegment.NULL;
                slot.bytes = slot.memory.bytes(weights.largest());
                slot.idleIsSet = false; // the memory is there once the first stream has come to its allocation
            }
            if (!slot.idleIsSet) {
                slot.idle.record(device.stream());
            }
            slot.idle.holdBack(copies);
            layer.weights().forEach(weight -> copy(weight.host(), slot.bytes.asSlice(weight.offset())));
            slot.arrived.record(copies);
            slot.arrived.holdBack(device.stream());
            slot.layer = Optional.of(layer);
            return slot;
        }

        private void copy(MemorySegment host, MemorySegment target) {
            long size = stages.getFirst().byteSize();
            for (long from = 0; from < host.byteSize(); from += size) {
                long bytes = Math.min(size, host.byteSize() - from);
                stage = 1 - stage;
                sent.get(stage).synchronize();
                MemorySegment.copy(host, from, stages.get(stage), 0, bytes);
                copies.upload(stages.get(stage).asSlice(0, bytes), target.asSlice(from, bytes));
                sent.get(stage).record(copies);
            }
        }

        void close() {
            try {
                copies.synchronize(); // it reads the page-locked memory
            } catch (CudaException e) {
                // the error that broke the context has been thrown before; nothing runs any more
            }
            slots.forEach(slot -> slot.memory.close());
            arena.close();
        }
    }
}

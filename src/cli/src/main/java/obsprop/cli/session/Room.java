package obsprop.cli.session;

import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.OptionalLong;
import obsprop.backend.Backend;
import obsprop.backend.Device;
import obsprop.cli.UsageException;
import obsprop.kernel.Residency;
import obsprop.model.Transformer;
import obsprop.model.family.ModelLoader;
import obsprop.model.io.Checkpoint;

/** Whether a device has room for a model. */
final class Room {
    private Room() {}

    /** Refuses, before anything is copied, weights that the device cannot hold, with the memory plan. */
    static void require(Path directory, Backend backend, Residency residency) {
        OptionalLong free = backend.freeDeviceMemory();
        if (free.isEmpty()) {
            return;
        }
        try (Arena arena = Arena.ofShared()) {
            Checkpoint checkpoint = Checkpoint.open(directory, arena);
            boolean streamed = residency == Residency.STREAMED;
            long needed = streamed ? checkpoint.streamedBytes() : checkpoint.bytes();
            if (needed > free.getAsLong()) {
                String remedy = !streamed && checkpoint.streamedBytes() < free.getAsLong()
                        ? "use --stream-layers, which has " + kib(checkpoint.streamedBytes()) + " of weights there at once, or --device cpu"
                        : "use --device cpu";
                throw new UsageException("the weights in " + directory + " take " + kib(needed) + (streamed ? " at once" : "")
                        + ", the CUDA device has " + kib(free.getAsLong()) + " free; beside them " + run(directory) + ": " + remedy);
            }
        }
    }

    private static String run(Path directory) {
        try (Backend host = Backend.select(Backend.Choice.of(Device.CPU_SCALAR));
                Transformer model = ModelLoader.open(directory, host.kernels())) {
            MemoryPlan plan = MemoryPlan.of(model);
            int tokens = model.config().maxPositions();
            return "a pass takes " + kib(plan.everything()) + " a token with everything kept, " + kib(plan.residuals())
                    + " with the residual stream kept, and " + kib(plan.cotangents()) + " for each observable going back, so "
                    + kib(plan.run(1, tokens, 1)) + " for 1 prompt of " + tokens + " tokens and 1 observable";
        }
    }

    private static String kib(long bytes) {
        return (bytes + 1023 >> 10) + " KiB";
    }
}

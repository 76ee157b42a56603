package obsprop.backend;

import java.util.Locale;

/** Where a user asks the engine to compute. */
public enum Device {
    /** A CUDA device if there is a usable one, else the CPU. */
    AUTO,
    /** The Vector API on all cores. */
    CPU,
    /** One NVIDIA GPU. */
    CUDA,
    /** Plain Java with double accumulation: slow, the reference that the others are compared with. */
    CPU_SCALAR;

    /** As on the command line: {@code cpu-scalar}. */
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }
}

package obsprop.cuda;

import java.util.Locale;

/** What {@link CudaLoader#probe} found: a device, or the reason in words why there is none to use. */
public sealed interface CudaProbe {
    /**
     * A device that can be opened.
     *
     * @param ordinal its number for the driver
     * @param name as the driver gives it
     * @param computeCapability major * 10 + minor
     * @param driverVersion the CUDA version the driver supports: 1000 * major + 10 * minor
     * @param memoryBytes all of its memory
     * @param cublas where cuBLAS was loaded from
     */
    record Present(
            int ordinal, String name, int computeCapability, int driverVersion, long memoryBytes, String cublas)
            implements CudaProbe {
        /** Opens the device; what is opened must be closed. */
        public CudaDevice open() {
            return CudaDevice.open(this);
        }

        /** One line: name, compute capability, memory, CUDA version of the driver. */
        public String describe() {
            return String.format(Locale.ROOT, "%s, compute capability %d.%d, %.1f GiB, driver for CUDA %s",
                    name, computeCapability / 10, computeCapability % 10, memoryBytes / (double) (1L << 30),
                    version(driverVersion));
        }
    }

    /** No device can be used. */
    record Absent(String reason) implements CudaProbe {}

    /** {@code 13000} as {@code 13.0}. */
    static String version(int coded) {
        return coded / 1000 + "." + coded % 1000 / 10;
    }
}

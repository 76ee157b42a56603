package obsprop.cuda;

import static obsprop.cuda.binding.cuda_driver_h.CUDA_SUCCESS;
import static obsprop.cuda.binding.cuda_driver_h.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR;
import static obsprop.cuda.binding.cuda_driver_h.CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR;
import static obsprop.cuda.binding.cuda_driver_h.cuDeviceGet;
import static obsprop.cuda.binding.cuda_driver_h.cuDeviceGetAttribute;
import static obsprop.cuda.binding.cuda_driver_h.cuDeviceGetCount;
import static obsprop.cuda.binding.cuda_driver_h.cuDeviceGetName;
import static obsprop.cuda.binding.cuda_driver_h.cuDeviceTotalMem_v2;
import static obsprop.cuda.binding.cuda_driver_h.cuDriverGetVersion;
import static obsprop.cuda.binding.cuda_driver_h.cuInit;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.Locale;
import java.util.Optional;

/**
 * Probes for a usable CUDA device. The generated bindings are touched only once the libraries they need are loaded, so
 * a machine without CUDA never sees an error.
 *
 * <p>Settings, as system properties: {@value #DRIVER} and {@value #CUBLAS}, each the path of a library that is taken
 * instead of searching. The environment variables {@code OBSPROP_CUDA_DRIVER} and {@code OBSPROP_CUDA_CUBLAS} do the
 * same.
 */
public final class CudaLoader {
    /** Path of the driver library, instead of the system's {@code libcuda.so.1}. */
    public static final String DRIVER = "obsprop.cuda.driver";

    /** Path of the cuBLAS library, instead of searching the usual places. */
    public static final String CUBLAS = "obsprop.cuda.cublas";

    /** What the kernels were compiled for. */
    private static final int NEEDED_DRIVER = 13000;

    private static final int NEEDED_CAPABILITY = 75;
    private static final int NAME_LENGTH = 256;

    private CudaLoader() {}

    /** The value of a setting: of the system property, otherwise of the environment variable of that name in capitals, with underscores. */
    public static Optional<String> setting(String property) {
        String environment = property.toUpperCase(Locale.ROOT).replace('.', '_');
        return Optional.ofNullable(System.getProperty(property)).or(() -> Optional.ofNullable(System.getenv(environment)));
    }

    /** Looks for a driver, a device and cuBLAS, in this order, and says what is missing. Never throws. */
    public static CudaProbe probe() {
        Optional<String> noDriver = Libraries.loadDriver();
        if (noDriver.isPresent()) {
            return new CudaProbe.Absent(noDriver.get());
        }
        int code = cuInit(0);
        if (code != CUDA_SUCCESS()) {
            return new CudaProbe.Absent("the CUDA driver finds no device: " + Status.describe(code));
        }
        try (Arena arena = Arena.ofConfined()) {
            return inspect(arena.allocate(ValueLayout.JAVA_LONG), arena.allocate(NAME_LENGTH));
        } catch (CudaException e) {
            return new CudaProbe.Absent(e.getMessage());
        }
    }

    private static CudaProbe inspect(MemorySegment out, MemorySegment name) {
        Status.driver(cuDriverGetVersion(out), "asking the driver's version");
        int version = integer(out);
        Status.driver(cuDeviceGetCount(out), "counting CUDA devices");
        if (integer(out) < 1) {
            return new CudaProbe.Absent("the CUDA driver counts no device (is CUDA_VISIBLE_DEVICES empty?)");
        }
        if (version < NEEDED_DRIVER) {
            return new CudaProbe.Absent("the driver is for CUDA " + CudaProbe.version(version) + ", the kernels need "
                    + CudaProbe.version(NEEDED_DRIVER) + ": update the NVIDIA driver");
        }
        Status.driver(cuDeviceGet(out, 0), "taking CUDA device 0");
        int device = integer(out);
        Status.driver(cuDeviceGetName(name, NAME_LENGTH, device), "asking the device's name");
        int capability = 10 * attribute(out, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR(), device)
                + attribute(out, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR(), device);
        if (capability < NEEDED_CAPABILITY) {
            return new CudaProbe.Absent(name.getString(0) + " has compute capability " + capability / 10 + "."
                    + capability % 10 + ", the kernels need 7.5");
        }
        Status.driver(cuDeviceTotalMem_v2(out, device), "asking the device's memory");
        long memory = out.get(ValueLayout.JAVA_LONG, 0);
        return switch (Libraries.loadCublas(version / 1000)) {
            case Libraries.Loaded(Path path) -> new CudaProbe.Present(
                    device, name.getString(0), capability, version, memory, path.toString());
            case Libraries.Missing(String reason) -> new CudaProbe.Absent(reason);
        };
    }

    private static int attribute(MemorySegment out, int attribute, int device) {
        Status.driver(cuDeviceGetAttribute(out, attribute, device), "asking a device attribute");
        return integer(out);
    }

    private static int integer(MemorySegment out) {
        return out.get(ValueLayout.JAVA_INT, 0);
    }
}

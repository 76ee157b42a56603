package obsprop.cli.options;

import java.util.Arrays;
import java.util.Locale;
import java.util.stream.Collectors;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** Where the engine computes. */
public enum Device {
    AUTO, CPU, CUDA, CPU_SCALAR;

    /** As on the command line. */
    @Override
    public String toString() {
        return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }

    /** Reads what {@link #toString} writes. */
    static final class Converter implements ITypeConverter<Device> {
        @Override
        public Device convert(String value) {
            return Arrays.stream(values()).filter(device -> device.toString().equals(value)).findFirst()
                    .orElseThrow(() -> new TypeConversionException("expected one of "
                            + Arrays.stream(values()).map(Device::toString).collect(Collectors.joining(", "))
                            + " but was '" + value + "'"));
        }
    }
}

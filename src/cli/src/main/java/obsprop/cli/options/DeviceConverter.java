package obsprop.cli.options;

import java.util.Arrays;
import java.util.stream.Collectors;
import obsprop.backend.Device;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** Reads a device as {@link Device#toString} writes it. */
final class DeviceConverter implements ITypeConverter<Device> {
    @Override
    public Device convert(String value) {
        return Arrays.stream(Device.values()).filter(device -> device.toString().equals(value)).findFirst()
                .orElseThrow(() -> new TypeConversionException("expected one of "
                        + Arrays.stream(Device.values()).map(Device::toString).collect(Collectors.joining(", "))
                        + " but was '" + value + "'"));
    }
}

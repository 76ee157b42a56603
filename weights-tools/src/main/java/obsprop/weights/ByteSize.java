package obsprop.weights;

import java.util.Locale;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** Reads sizes such as {@code 500MB} or {@code 2GB} (decimal, as Hugging Face counts), or plain bytes. */
final class ByteSize implements ITypeConverter<Long> {
    private static final Pattern SIZE = Pattern.compile("(\\d{1,12})\\s*(|b|kb|mb|gb)");

    @Override
    public Long convert(String text) {
        Matcher size = SIZE.matcher(text.toLowerCase(Locale.ROOT).strip());
        if (!size.matches() || Long.parseLong(size.group(1)) == 0) {
            throw new TypeConversionException("'" + text + "' is not a size, expected for instance 500MB or 2GB");
        }
        long unit = switch (size.group(2)) {
            case "kb" -> 1_000L;
            case "mb" -> 1_000_000L;
            case "gb" -> 1_000_000_000L;
            default -> 1L;
        };
        return Math.multiplyExact(Long.parseLong(size.group(1)), unit);
    }
}

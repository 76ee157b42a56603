package obsprop.cli.options;

import java.util.Arrays;
import java.util.Locale;
import java.util.stream.Collectors;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** Reads the constants of an enum as users write them: {@code OV_ONLY} is {@code ov-only}. */
public abstract class LabelConverter<E extends Enum<E>> implements ITypeConverter<E> {
    private final Class<E> type;

    protected LabelConverter(Class<E> type) {
        this.type = type;
    }

    /** What users write for {@code value}. */
    public static String label(Enum<?> value) {
        return value.name().toLowerCase(Locale.ROOT).replace('_', '-');
    }

    @Override
    public E convert(String value) {
        return Arrays.stream(type.getEnumConstants()).filter(constant -> label(constant).equals(value)).findFirst()
                .orElseThrow(() -> new TypeConversionException("expected one of " + Arrays.stream(type.getEnumConstants())
                        .map(LabelConverter::label).collect(Collectors.joining(", ")) + " but was '" + value + "'"));
    }
}

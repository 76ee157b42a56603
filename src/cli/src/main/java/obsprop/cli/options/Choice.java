package obsprop.cli.options;

import java.util.Arrays;
import java.util.Locale;
import java.util.stream.Collectors;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** Reads an enum's constants as options spell them: {@code weight-only} for {@code WEIGHT_ONLY}. */
public abstract class Choice<E extends Enum<E>> implements ITypeConverter<E> {
    private final E[] values;

    /** For the constants {@code values}. */
    protected Choice(E[] values) {
        this.values = values.clone();
    }

    @Override
    public E convert(String text) {
        return Arrays.stream(values).filter(value -> label(value).equals(text)).findFirst()
                .orElseThrow(() -> new TypeConversionException("expected one of "
                        + Arrays.stream(values).map(Choice::label).collect(Collectors.joining(", "))
                        + " but was '" + text + "'"));
    }

    /** The constant as it is written. */
    public static String label(Enum<?> value) {
        return value.name().toLowerCase(Locale.ROOT).replace('_', '-');
    }
}

package obsprop.cli.options;

import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;
import picocli.CommandLine.ITypeConverter;
import picocli.CommandLine.TypeConversionException;

/** Reads a constant of an enum as the command line writes it: {@code CPU_SCALAR} is {@code cpu-scalar}. */
public abstract class WordConverter<E extends Enum<E>> implements ITypeConverter<E> {
    private final List<E> values;

    /** @param values all constants */
    protected WordConverter(E[] values) {
        this.values = List.of(values);
    }

    /** The word for a constant. */
    public static String word(Enum<?> value) {
        return value.name().toLowerCase(Locale.ROOT).replace('_', '-');
    }

    @Override
    public final E convert(String given) {
        for (E value : values) {
            if (word(value).equals(given)) {
                return value;
            }
        }
        throw new TypeConversionException("expected one of "
                + values.stream().map(WordConverter::word).collect(Collectors.joining(", ")) + " but was '" + given + "'");
    }
}

package obsprop.cli.output;

import java.util.stream.Collectors;

/** Text from a vocabulary, a file or a name, for a terminal: no token breaks a line or moves the cursor. */
public final class Visible {
    private Visible() {
    }

    /** {@code text} with its control characters escaped, as the observables' parser reads them. */
    public static String of(String text) {
        if (text.chars().noneMatch(Character::isISOControl)) {
            return text;
        }
        return text.codePoints().mapToObj(c -> switch (c) {
            case '\n' -> "\\n";
            case '\r' -> "\\r";
            case '\t' -> "\\t";
            default -> Character.isISOControl(c) ? String.format("\\u%04x", c) : Character.toString(c);
        }).collect(Collectors.joining());
    }
}

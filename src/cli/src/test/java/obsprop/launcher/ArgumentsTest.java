package obsprop.launcher;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.util.List;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.NotEmpty;
import net.jqwik.api.constraints.StringLength;

class ArgumentsTest {
    @Property(tries = 200)
    void arriveAsTheyWere(@ForAll @NotEmpty List<@StringLength(max = 8) String> arguments) {
        // What a command line can hold: no half surrogates.
        List<String> real = arguments.stream()
                .map(argument -> new String(argument.getBytes(StandardCharsets.UTF_8), StandardCharsets.UTF_8)).toList();
        String encoded = new Arguments(real).encoded();
        assertTrue(encoded.chars().allMatch(c -> c > ' ' && c < 127 && c != '"'), encoded);
        System.setProperty(Arguments.PROPERTY, encoded);
        try {
            assertEquals(real, Arguments.received(new String[0]));
        } finally {
            System.clearProperty(Arguments.PROPERTY);
        }
    }
}

package obsprop.cli.tokens;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Optional;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import obsprop.cli.UsageException;
import obsprop.cli.tokens.ObservableSpec.Id;
import obsprop.cli.tokens.ObservableSpec.Term;
import obsprop.cli.tokens.ObservableSpec.Text;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ObservableParserTest {
    @Test
    void readsTheFormsOfTheManual() {
        assertEquals(spec(new Term(1, new Text(" she")), new Term(-1, new Text(" he"))), ObservableParser.parse("\" she\" - \" he\""));
        assertEquals(spec(new Term(1, new Text(" nurse")), new Term(0.5, new Text(" teacher")), new Term(-1, new Text(" doctor"))),
                ObservableParser.parse("\" nurse\" + 0.5*\" teacher\" - \" doctor\""));
        assertEquals(spec(new Term(1, new Id(673)), new Term(-1, new Id(339))), ObservableParser.parse("#673 - #339"));
        assertEquals(spec(new Term(1, new Id(673)), new Term(-2.5e-3, new Id(339))), ObservableParser.parse(" #673-2.5e-3 * #339 "));
        assertEquals(spec(new Term(-1, new Text("\u2581she"))), ObservableParser.parse("-\"\u2581she\""));
        assertEquals(new ObservableSpec(Optional.of("gender"), List.of(new Term(1, new Text("a=b")))),
                ObservableParser.parse("gender = \"a=b\""));
        assertEquals(new ObservableSpec(Optional.of("she-he"), List.of(new Term(1, new Id(0)))), ObservableParser.parse("she-he=#0"));
        assertEquals(spec(new Term(1, new Text("\"\\\n\t\u2581 '"))), ObservableParser.parse("\"\\\"\\\\\\n\\t\\u2581 '\""));
    }

    @ParameterizedTest
    @CsvSource(quoteCharacter = '`', value = {
        "``,missing", "` `,missing", "`she - he`,missing", "`\" she`,closing", "`\"a\\`,closing", "`\"a\\`,closing", "`\"\"`,empty",
        "`\"a\" \"b\"`,+ or -", "`\"a\" - `,missing", "`2 \"a\"`,followed by *", "`2`,followed by *", "`1e999*\"a\"`,too large",
        "`1e39*\"a\"`,too large", "`\"a\\x\"`,backslash", "`\"\\u12g4\"`,hexadecimal", "`\"\\u12`,hexadecimal",
        "`#99999999999`,99999999999", "`#`,missing", "`#-1`,missing", "`name=`,missing", "`=#1`,missing", "`a b=#1`,missing", "`#1 - - #2`,missing",
        "`\"a\"*2`,+ or -"})
    void saysWhatIsWrong(String wrong, String why) {
        String message = assertThrows(UsageException.class, () -> ObservableParser.parse(wrong)).getMessage();
        assertTrue(message.contains(why), message);
        assertTrue(message.contains("'" + wrong + "', character "), message);
        assertTrue(message.contains("write, for example"), message);
    }

    @Property(tries = 500)
    void readsWhatItWrites(@ForAll("specs") ObservableSpec spec) {
        assertEquals(spec, ObservableParser.parse(spec.toString()));
        assertFalse(spec.title().isEmpty());
    }

    @Property(tries = 1000)
    void throwsOnlyItsOwnError(@ForAll("nearlySpecs") String text) {
        try {
            assertFalse(ObservableParser.parse(text).terms().isEmpty());
        } catch (UsageException e) {
            assertFalse(e.getMessage().isEmpty());
        }
    }

    @Provide
    private Arbitrary<ObservableSpec> specs() {
        Arbitrary<ObservableSpec.TokenReference> tokens = Arbitraries.oneOf(
                Arbitraries.strings().ofMinLength(1).ofMaxLength(6).map(Text::new),
                Arbitraries.integers().greaterOrEqual(0).map(Id::new));
        Arbitrary<Double> weights = Arbitraries.oneOf(Arbitraries.of(1.0, -1.0, 2.0, 0.5),
                Arbitraries.doubles().between(-Float.MAX_VALUE, Float.MAX_VALUE).map(weight -> weight + 0.0));
        Arbitrary<Optional<String>> names = Arbitraries.strings().withCharRange('a', 'z').withChars("_-.:/").ofMaxLength(5)
                .map(rest -> "n" + rest).optional();
        return Combinators.combine(names, Combinators.combine(weights, tokens).as(Term::new).list().ofMinSize(1).ofMaxSize(4))
                .as(ObservableSpec::new);
    }

    @Provide
    private Arbitrary<String> nearlySpecs() {
        return Arbitraries.oneOf(Arbitraries.strings().ofMaxLength(12),
                Arbitraries.of("\"", "\\", "\\u00", "a", " ", "+", "-", "*", "#", "12", ".5", "e9", "=", "n=", "\" he\"", "#3")
                        .list().ofMaxSize(10).map(parts -> String.join("", parts)));
    }

    private static ObservableSpec spec(Term... terms) {
        return new ObservableSpec(Optional.empty(), List.of(terms));
    }
}

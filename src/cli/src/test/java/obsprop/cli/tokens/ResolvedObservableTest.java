package obsprop.cli.tokens;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import obsprop.cli.UsageException;
import obsprop.cli.tokens.ResolvedObservable.TokenWeight;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ResolvedObservableTest {
    @Test
    void findsTextsEntriesAndIds() {
        ResolvedObservable observable = resolve("\"c\" - 2*\"<s>\" + #1");
        assertEquals("\"c\" - 2*\"<s>\" + #1", observable.name());
        assertEquals(List.of(new TokenWeight(2, "c", 1), new TokenWeight(26, "<s>", -2), new TokenWeight(1, "b", 1)),
                observable.tokens());
        assertEquals("n", resolve("n=#1").name());
    }

    @Test
    void mergesTokensNamedTwice() {
        assertEquals(List.of(new TokenWeight(1, "b", 2.5), new TokenWeight(0, "a", -1)),
                resolve("\"b\" + \"c\" - \"a\" + 1.5*#1 - #2").tokens());
    }

    @ParameterizedTest
    @CsvSource(quoteCharacter = '`', value = {
        "`\"a\" - #0`,adds up to nothing", "`0*\"a\"`,adds up to nothing", "`#27`,end at 26", "`3e38*#1 + 3e38*#1`,single precision",
        "`\"bad\"`,`\"b\" (#1) \"a\" (#0) \"d\" (#3)`"})
    void saysWhatIsWrong(String spec, String why) {
        String message = assertThrows(UsageException.class, () -> resolve(spec)).getMessage();
        assertTrue(message.contains(why), message);
    }

    private static ResolvedObservable resolve(String spec) {
        return ResolvedObservable.of(ObservableParser.parse(spec), new LetterVocabulary(27));
    }
}

package obsprop.cli.tokens;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import obsprop.cli.UsageException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class PromptTest {
    private static final Vocabulary LETTERS = new LetterVocabulary(26);

    @Test
    void readsIds() {
        Prompt prompt = Prompt.ofIds("3, 0,25", "--token-ids", LETTERS);
        assertArrayEquals(new int[] {3, 0, 25}, prompt.array());
        assertEquals(List.of("d", "a", "z"), prompt.texts(LETTERS));
    }

    @ParameterizedTest
    @ValueSource(strings = {"", ",", "1,", "a", "1;2", "-1", "26", "1.0", "99999999999"})
    void refusesWhatIsNoId(String ids) {
        assertTrue(message(() -> Prompt.ofIds(ids, "--token-ids", LETTERS)).startsWith("--token-ids: "));
    }

    @Test
    void countsPositionsFromBothEnds() {
        Prompt prompt = Prompt.ofIds("1,2,3", "--token-ids", LETTERS);
        assertEquals(0, prompt.position(0, "--position"));
        assertEquals(2, prompt.position(2, "--position"));
        assertEquals(2, prompt.position(-1, "--position"));
        assertEquals(0, prompt.position(-3, "--position"));
        assertTrue(message(() -> prompt.position(3, "--position")).contains("give 0 to 2"));
        assertTrue(message(() -> prompt.position(-4, "--position")).contains("position -4"));
    }

    @Test
    void knowsItsLimits() {
        assertTrue(message(() -> Prompt.ofPieces(List.of(), "--prompt", LETTERS)).contains("empty"));
        Prompt prompt = Prompt.ofPieces(LETTERS.encode("abc"), "--prompt", LETTERS);
        assertEquals(prompt, prompt.fitting(3, "--prompt"));
        assertTrue(message(() -> prompt.fitting(2, "--prompt")).contains("3 tokens, but the model's context holds 2"));
        assertTrue(message(() -> Prompt.ofPieces(LETTERS.encode("abc"), "--prompt", new LetterVocabulary(2))).contains("end at 1"));
    }

    @Test
    void textNeedsATokenizer() {
        String message = message(() -> new IdVocabulary(3, "there is no tokenizer.json").encode("a"));
        assertTrue(message.contains("there is no tokenizer.json: give ids"), message);
    }

    private static String message(Executable wrong) {
        return assertThrows(UsageException.class, wrong).getMessage();
    }
}

package obsprop.weights.corpus;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import ai.djl.huggingface.tokenizers.HuggingFaceTokenizer;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Our tokenizer, and what the Hugging Face library makes of the file that we write for it. */
class WordTokenizerTest {
    private static final WordTokenizer TOKENIZER = Corpus.vocabulary();

    @TempDir
    private Path dir;

    private HuggingFaceTokenizer library() throws IOException {
        Path file = dir.resolve("tokenizer.json");
        Files.writeString(file, TokenizerFile.text(TOKENIZER));
        return HuggingFaceTokenizer.newInstance(file);
    }

    private static List<String> texts() {
        Generator generator = new Generator(Part.SEEN, 77);
        List<String> texts = new ArrayList<>(Stream.generate(() -> generator.next().text()).limit(500).toList());
        texts.addAll(List.of(
                "So, Mary really is a great friend, isn't", "", " ", "\n\n  x", "Zoë's naïve café", "日本語 ok",
                "tab\tand\u00a0space", "unknown words, 1234 and _underscores_", "😀", "a  b   ", "it's I'm they'd"));
        return texts;
    }

    @Test
    void sameIdsAsTheLibraryAndEveryTextReturns() throws IOException {
        try (HuggingFaceTokenizer library = library()) {
            for (String text : texts()) {
                long[] ids = library.encode(text, false, false).getIds();
                int[] ours = TOKENIZER.encode(text);
                assertArrayEquals(ids, Arrays.stream(ours).asLongStream().toArray(), text);
                assertEquals(text, library.decode(ids, false));
            }
        }
    }

    @Test
    void theSeparatorIsOneToken() throws IOException {
        try (HuggingFaceTokenizer library = library()) {
            long[] ids = library.encode(WordTokenizer.SEPARATOR + "So, Mary", false, false).getIds();
            assertEquals(TOKENIZER.separator(), ids[0]);
            assertEquals(4, ids.length);
        }
    }

    @Test
    void theObservablesTokensAreSingle() {
        for (String token : List.of(" she", " he", " her", " him", " his", " nurse", " teacher", " secretary",
                " programmer", " doctor", " engineer", " tea", " coffee", " //", " #", " Mary", "Mary", " John")) {
            assertTrue(TOKENIZER.token(token).isPresent(), token);
        }
        assertTrue(TOKENIZER.size() < 1500, "vocabulary of " + TOKENIZER.size());
    }

    /** No document needs a byte where the vocabulary was meant to have a word. */
    @Test
    void vocabularyCoversTheGrammar() {
        Generator generator = new Generator(Part.SEEN, 991);
        for (int i = 0; i < 20_000; i++) {
            String text = generator.next().text();
            WordTokenizer.Token[] tokens = TOKENIZER.encodeWithOffsets(text);
            for (int t = 1; t < tokens.length; t++) {
                assertTrue(tokens[t].offset() > tokens[t - 1].offset(), text);
            }
        }
    }

    @Test
    void fileReadsBack() throws IOException {
        Path file = dir.resolve("again.json");
        Files.writeString(file, TokenizerFile.text(TOKENIZER));
        assertEquals(TOKENIZER.entries(), TokenizerFile.read(file).entries());
    }
}

package obsprop.cli.tokens;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.json.JsonMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.stream.StreamSupport;
import obsprop.cli.Shared;
import obsprop.cli.UsageException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class HuggingFaceVocabularyTest {
    @TempDir
    private Path folder;

    @Test
    void agreesWithTheReferenceOnTwoHundredStrings() throws IOException {
        Path gpt2 = Shared.path("tokenizers/gpt2");
        JsonNode vectors = new JsonMapper().readTree(gpt2.resolve("vectors.json").toFile());
        assertEquals(200, vectors.size());
        try (Vocabulary vocabulary = HuggingFaceVocabulary.of(gpt2, 50257)) {
            for (JsonNode vector : vectors) {
                List<Integer> expected = StreamSupport.stream(vector.get("ids").spliterator(), false).map(JsonNode::asInt).toList();
                String text = vector.get("text").asText();
                assertEquals(expected, vocabulary.encode(text).stream().map(Vocabulary.Piece::id).toList(), text);
            }
        }
    }

    @Test
    void readsBytesAsText() {
        try (Vocabulary vocabulary = HuggingFaceVocabulary.of(Shared.path("tokenizers/gpt2"), 50257)) {
            assertEquals(" she", vocabulary.text(673));
            assertEquals("<|endoftext|>", vocabulary.text(50256));
            assertEquals("\u00c3", vocabulary.text(127), "part of a character keeps the vocabulary's spelling");
            assertEquals(OptionalInt.of(673), vocabulary.literal("\u0120she"));
            assertEquals(OptionalInt.empty(), vocabulary.literal(" she"));
            assertEquals(List.of(673, 339), ids("\" she\" - \"\u0120he\"", vocabulary));
            String message = assertThrows(UsageException.class, () -> ids("\" she he\"", vocabulary)).getMessage();
            assertTrue(message.contains("\"\u0120she\" (#673) \"\u0120he\" (#339)"), message);
        }
    }

    @Test
    void knowsTheStoryModelsTokens() {
        try (Vocabulary vocabulary = HuggingFaceVocabulary.of(Shared.path("models/stories260k"), 512)) {
            assertEquals(List.of("\u2581Lily", "\u2581was", "\u2581sa", "d"),
                    vocabulary.encode("Lily was sad").stream().map(Vocabulary.Piece::entry).toList());
            ResolvedObservable observable = ResolvedObservable.of(ObservableParser.parse("\"\u2581she\" - \" he\""), vocabulary);
            assertEquals(List.of("\u2581she", "\u2581he"),
                    observable.tokens().stream().map(ResolvedObservable.TokenWeight::text).toList());
        }
    }

    @Test
    void decodesTokensTogether() throws IOException {
        String text = "na\u00efve \u65e5\u672c\u8a9e \ud83d\ude00 she he";
        for (Path model : List.of(Shared.path("tokenizers/gpt2"), Shared.path("models/stories260k"))) {
            try (Vocabulary vocabulary = HuggingFaceVocabulary.of(model, 50257)) {
                int[] ids = vocabulary.encode(text).stream().mapToInt(Vocabulary.Piece::id).toArray();
                assertEquals(Optional.of(text), vocabulary.decode(ids));
                assertEquals(Optional.of(""), vocabulary.decode(new int[0]));
                for (int at = 0; at < ids.length; at++) {
                    Context all = Context.of(ids, at, vocabulary);
                    assertEquals(text, all.text());
                    assertEquals(text, all.marked().replaceAll("[\\[\\]]", ""));
                    // Cut anywhere, it is a part of the text, whole characters only.
                    int from = Math.max(0, at - 4);
                    int[] some = Arrays.copyOfRange(ids, from, Math.min(ids.length, at + 5));
                    String part = Context.of(some, at - from, vocabulary).text();
                    assertTrue(text.contains(part.strip()), part);
                }
            }
        }
    }

    @Test
    void whatCannotBeDecodedIsSpelledTokenByToken() throws IOException {
        Files.writeString(folder.resolve("tokenizer.json"), """
                {"decoder": null, "model": {"type": "WordLevel", "vocab": {"a": 0, "\u2581b": 1}, "unk_token": "a"}}""");
        try (Vocabulary vocabulary = HuggingFaceVocabulary.of(folder, 3)) {
            assertEquals(new Context("a ba", "a[ b]a"), Context.of(new int[] {0, 1, 0}, 1, vocabulary));
        }
        assertEquals(new Context("#2#5", "[#2]#5"), Context.of(new int[] {2, 5}, 0, new IdVocabulary(7, "")));
    }

    @Test
    void aModelWithoutTokenizerHasIdsOnly() {
        assertInstanceOf(IdVocabulary.class, HuggingFaceVocabulary.of(folder, 3));
    }

    @Test
    void refusesBrokenFilesInOneLine() throws IOException {
        for (String broken : List.of("", "{", "{}", "[1,2", "nonsense", "{\"model\": {\"type\": \"BPE\"}}")) {
            Files.writeString(folder.resolve("tokenizer.json"), broken);
            String message = assertThrows(UsageException.class, () -> HuggingFaceVocabulary.of(folder, 3), broken).getMessage();
            assertTrue(message.contains("tokenizer.json") && message.endsWith("fetch it again"), message);
        }
        Files.write(folder.resolve("tokenizer.json"), new byte[] {'"', (byte) 0xff, '"'});
        assertTrue(assertThrows(UsageException.class, () -> HuggingFaceVocabulary.of(folder, 3)).getMessage().contains("UTF-8"));
    }

    @Test
    void addsSpecialTokensOnlyWhenAsked() throws IOException {
        Files.writeString(folder.resolve("tokenizer.json"), """
                {"added_tokens": [{"id": 2, "content": "<s>", "special": true, "single_word": false, "lstrip": false,
                  "rstrip": false, "normalized": false}],
                 "truncation": {"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0},
                 "pre_tokenizer": {"type": "Whitespace"},
                 "post_processor": {"type": "TemplateProcessing",
                  "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}], "pair": [],
                  "special_tokens": {"<s>": {"id": "<s>", "ids": [2], "tokens": ["<s>"]}}},
                 "model": {"type": "WordLevel", "vocab": {"a": 0, "b": 1}, "unk_token": "a"}}""");
        try (Vocabulary vocabulary = HuggingFaceVocabulary.of(folder, 3)) {
            assertEquals(List.of(1, 0, 1), vocabulary.encode("b a b").stream().map(Vocabulary.Piece::id).toList());
            assertEquals(List.of(2, 1), vocabulary.encodeWithSpecialTokens("b").stream().map(Vocabulary.Piece::id).toList());
            assertEquals("<s>", vocabulary.text(2));
            assertEquals(OptionalInt.of(2), vocabulary.literal("<s>"));
            assertThrows(UsageException.class, () -> vocabulary.encode("a\ud83d"));
        }
    }

    private static List<Integer> ids(String spec, Vocabulary vocabulary) {
        return ResolvedObservable.of(ObservableParser.parse(spec), vocabulary).tokens().stream()
                .map(ResolvedObservable.TokenWeight::id).toList();
    }
}

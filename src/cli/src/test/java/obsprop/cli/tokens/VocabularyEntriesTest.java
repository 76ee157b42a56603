package obsprop.cli.tokens;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.util.Map;
import org.junit.jupiter.api.Test;

class VocabularyEntriesTest {
    @Test
    void readsUnigramsAndAddedTokens() throws IOException {
        VocabularyEntries entries = VocabularyEntries.read("""
                {"version": "1.0", "added_tokens": [{"id": 7, "content": "<x>", "extra": [1]}], "decoder": {"type": "Metaspace"},
                 "model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["\u2581a", -1.5]], "byte_fallback": false}}""");
        assertEquals(Map.of("<x>", 7, "<unk>", 0, "\u2581a", 1), entries.ids());
        assertFalse(entries.bytes());
    }

    @Test
    void seesByteLevelInsideASequence() throws IOException {
        VocabularyEntries entries = VocabularyEntries.read("""
                {"decoder": {"type": "Sequence", "decoders": [{"type": "Fuse"}, {"type": "ByteLevel", "use_regex": true}]},
                 "model": {"vocab": {"a": 0, "b": 1}, "merges": [["a", "b"]]}, "added_tokens": []}""");
        assertEquals(Map.of("a", 0, "b", 1), entries.ids());
        assertTrue(entries.bytes());
    }

    @Test
    void aMissingDecoderSpellsNoBytes() throws IOException {
        assertFalse(VocabularyEntries.read("{\"decoder\": null, \"model\": {\"vocab\": {}}}").bytes());
    }
}

package obsprop.cli.texts;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import obsprop.cli.UsageException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TextsTest {
    @TempDir
    private Path folder;

    @Test
    void plainTextByLineParagraphAndFile() throws IOException {
        Path file = write("a.txt", "\uFEFFone\r\ntwo\n\n \nthree\nfour");
        assertEquals(List.of("0 1 one", "1 2 two", "2 5 three", "3 6 four"), read(SampleBy.LINE, file));
        assertEquals(List.of("0 1 one\ntwo", "1 5 three\nfour"), read(SampleBy.PARAGRAPH, file));
        assertEquals(List.of("0 1 one\ntwo\n\n \nthree\nfour"), read(SampleBy.DOCUMENT, file));
        assertEquals(List.of(), read(SampleBy.LINE, write("empty.txt", "")));
        assertEquals(List.of(), read(SampleBy.DOCUMENT, write("blank.txt", "\n \n")));
    }

    @Test
    void filesFollowOneAnother() throws IOException {
        assertEquals(List.of("0 1 x", "1 1 y", "2 2 z"),
                read(SampleBy.LINE, write("x.txt", "x\n"), write("none.txt", ""), write("y.jsonl", "{\"text\":\"y\"}\n{\"text\":\"z\"}")));
    }

    @Test
    void jsonLinesWithLabels() throws IOException {
        Path file = write("l.jsonl", "{\"body\":\"a\\nb\",\"kind\":1}\n\n{\"kind\":\"c\",\"body\":\"\"}\n");
        try (Texts texts = new Texts(List.of(file),
                new Texts.Format("body", Optional.of(new LabelField("kind", "--label-field")), SampleBy.LINE, Malformed.FAIL),
                note -> {})) {
            assertEquals(new Document(0, "a\nb", Optional.of("1"), file, 1), texts.next());
            assertEquals(new Document(1, "", Optional.of("c"), file, 3), texts.next());
            assertTrue(!texts.hasNext());
            assertEquals(Files.size(file), texts.bytes());
        }
    }

    private static final List<String> WRONG = List.of("{\"text\":", "[1]", "{\"text\":1}", "{\"other\":\"x\"}",
            "{\"text\":\"x\"} {}", "{\"text\":\"\\ud800\"}", "nonsense");

    @Test
    void malformedLinesAreReportedWithTheirNumberAndSkippedOrFatal() throws IOException {
        for (String wrong : WRONG) {
            Path file = write("m.jsonl", "{\"text\":\"first\"}\n" + wrong + "\n{\"text\":\"last\"}\n");
            List<String> notes = new ArrayList<>();
            try (Texts texts = open(file, Malformed.SKIP, notes)) {
                assertEquals("first", texts.next().text());
                assertEquals("last", texts.next().text(), wrong);
                assertEquals(1, texts.skipped());
            }
            assertEquals(1, notes.size());
            assertTrue(notes.getFirst().contains("m.jsonl, line 2: "), notes.getFirst());
            try (Texts texts = open(file, Malformed.FAIL, notes)) {
                texts.next();
                UsageException e = assertThrows(UsageException.class, texts::next);
                assertTrue(e.getMessage().contains("m.jsonl, line 2: ") && e.getMessage().lines().count() == 1, e.getMessage());
            }
        }
    }

    @Test
    void bytesThatAreNotUtf8AreMalformed() throws IOException {
        Path file = folder.resolve("bytes.txt");
        Files.write(file, new byte[] {'o', 'k', '\n', (byte) 0xFF, 'x', '\n', 'o', 'k', '2'});
        List<String> notes = new ArrayList<>();
        try (Texts texts = open(file, Malformed.SKIP, notes)) {
            assertEquals("ok", texts.next().text());
            assertEquals("ok2", texts.next().text());
        }
        assertTrue(notes.getFirst().contains("line 2"), notes.toString());
        try (Texts texts = open(file, Malformed.FAIL, notes)) {
            texts.next();
            assertThrows(UsageException.class, texts::next);
        }
    }

    @Test
    void missingFilesAreToldBeforeAnythingIsRead() {
        Path missing = folder.resolve("missing.txt");
        assertThrows(UsageException.class, () -> open(missing, Malformed.SKIP, new ArrayList<>()));
        assertThrows(UsageException.class, () -> open(folder, Malformed.SKIP, new ArrayList<>()));
    }

    private static Texts open(Path file, Malformed malformed, List<String> notes) {
        return new Texts(List.of(file), new Texts.Format("text", Optional.empty(), SampleBy.LINE, malformed), notes::add);
    }

    private Path write(String name, String content) throws IOException {
        return Files.write(folder.resolve(name), content.getBytes(StandardCharsets.UTF_8));
    }

    private static List<String> read(SampleBy sampleBy, Path... files) {
        List<String> documents = new ArrayList<>();
        try (Texts texts = new Texts(List.of(files),
                new Texts.Format("text", Optional.empty(), sampleBy, Malformed.FAIL), note -> {})) {
            texts.forEachRemaining(d -> documents.add(d.number() + " " + d.line() + " " + d.text()));
        }
        return documents;
    }
}

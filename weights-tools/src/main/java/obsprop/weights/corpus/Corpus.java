package obsprop.weights.corpus;

import java.io.BufferedReader;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.stream.Stream;
import obsprop.tensor.io.FormatException;
import obsprop.tensor.io.Json;
import obsprop.weights.JsonText;
import obsprop.weights.OutputDirectory;

/**
 * The corpus as files: {@code train.jsonl}, {@code heldout.jsonl} (fresh documents of the same distribution),
 * {@code unseen-pairs.jsonl} (pairs of name and frame that training never uses), {@code tokenizer.json} and
 * {@code statistics.json}. Each line holds one document and what was planted in it.
 */
public final class Corpus {
    public static final String TRAIN = "train.jsonl";
    public static final String HELD_OUT = "heldout.jsonl";
    public static final String UNSEEN_PAIRS = "unseen-pairs.jsonl";
    public static final String STATISTICS = "statistics.json";
    public static final String TOKENIZER = "tokenizer.json";
    private static final int HELD_OUT_DOCUMENTS = 4000;

    private Corpus() {}

    /** Generates and writes a corpus of {@code documents} training documents; the same one for the same seed. */
    public static void write(OutputDirectory out, int documents, long seed) {
        Generator seen = new Generator(Part.SEEN, seed);
        List<Document> train = Stream.generate(seen::next).limit(documents).toList();
        List<Document> heldOut = Stream.generate(seen::next).limit(HELD_OUT_DOCUMENTS).toList();
        Generator unseen = new Generator(Part.UNSEEN_PAIRS, seed);
        List<Document> unseenPairs = Stream.generate(unseen::next).limit(HELD_OUT_DOCUMENTS).toList();
        WordTokenizer tokenizer = vocabulary();
        writeLines(out.file(TRAIN), train);
        writeLines(out.file(HELD_OUT), heldOut);
        writeLines(out.file(UNSEEN_PAIRS), unseenPairs);
        out.write(TOKENIZER, TokenizerFile.text(tokenizer));
        out.write("tokenizer_config.json", TokenizerFile.configText());
        out.write(STATISTICS, JsonText.pretty(
                new CorpusStatistics(seen.grammar(), tokenizer, seed).of(train, heldOut, unseenPairs)));
    }

    /** The vocabulary of the grammar; it does not depend on the corpus' seed or size. */
    static WordTokenizer vocabulary() {
        int enoughForEveryPiece = 50_000;
        Generator any = new Generator(Part.SEEN, 0);
        return WordTokenizer.ofPieces(() ->
                Stream.generate(() -> any.next().text()).limit(enoughForEveryPiece).iterator());
    }

    private static void writeLines(Path file, List<Document> documents) {
        try (BufferedWriter out = Files.newBufferedWriter(file)) {
            for (Document document : documents) {
                out.write(JsonText.line(fields(document)));
                out.write('\n');
            }
        } catch (IOException e) {
            throw new UncheckedIOException(file + ": cannot be written: " + e.getMessage(), e);
        }
    }

    private static Map<String, Object> fields(Document document) {
        Map<String, Object> fields = JsonText.object(
                "text", document.text(), "kind", document.kind().label(), "nats", document.nats());
        document.person().ifPresent(person -> {
            fields.put("gender", person.gender().name().toLowerCase(Locale.ROOT));
            fields.put("name", person.name());
            fields.put("occupation", person.occupation());
        });
        fields.put("cues", document.cues().stream()
                .map(Corpus::fields)
                .toList());
        return fields;
    }

    private static Map<String, Object> fields(Cue cue) {
        return JsonText.object(
                "offset", cue.offset(), "expected", cue.expected(), "alternative", cue.alternative());
    }

    /**
     * One line of a corpus file, as far as training and evaluation need it.
     *
     * @param nats surprisal under the grammar; NaN where the file does not say
     */
    public record Line(String text, Kind kind, double nats, List<Cue> cues) {}

    /**
     * Reads a corpus file.
     *
     * @throws FormatException if a line is not what {@link #write} writes
     */
    public static List<Line> read(Path file) {
        List<Line> lines = new ArrayList<>();
        try (BufferedReader in = Files.newBufferedReader(file)) {
            for (String line = in.readLine(); line != null; line = in.readLine()) {
                String where = file + ": line " + (lines.size() + 1);
                ByteBuffer bytes = ByteBuffer.wrap(line.getBytes(StandardCharsets.UTF_8));
                lines.add(line(where, Json.parse(bytes, where, Json.Dialect.STRICT)));
            }
        } catch (IOException e) {
            throw FormatException.unreadable(file, e);
        }
        return lines;
    }

    private static Line line(String where, Json json) {
        if (json instanceof Json.Obj(Map<String, Json> fields)
                && fields.get("text") instanceof Json.Str(String text)
                && fields.get("kind") instanceof Json.Str(String kind)
                && fields.get("nats") instanceof Json.Num(String nats)
                && fields.get("cues") instanceof Json.Arr(List<Json> cues)) {
            return new Line(
                    text, Kind.of(kind), Double.parseDouble(nats), cues.stream().map(c -> cue(where, c)).toList());
        }
        throw new FormatException(where + ": expected an object with text, kind, nats and cues");
    }

    private static Cue cue(String where, Json json) {
        if (json instanceof Json.Obj(Map<String, Json> fields)
                && fields.get("offset") instanceof Json.Num(String offset)
                && fields.get("expected") instanceof Json.Str(String expected)
                && fields.get("alternative") instanceof Json.Str(String alternative)) {
            return new Cue(Integer.parseInt(offset), expected, alternative);
        }
        throw new FormatException(where + ": expected a cue with offset, expected and alternative");
    }
}

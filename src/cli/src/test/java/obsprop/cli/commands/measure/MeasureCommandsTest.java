package obsprop.cli.commands.measure;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import obsprop.cli.Invocation;
import obsprop.cli.Shared;
import obsprop.tensor.Tensor;
import obsprop.tensor.io.SafetensorsWriter;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Bad input, and runs that go on. */
class MeasureCommandsTest {
    @TempDir
    private Path folder;

    private String model;
    private String text;
    private String labelled;

    @BeforeEach
    void texts() throws IOException {
        model = Shared.path("models/stories260k").toString();
        text = write("text.txt", "Lily was sad because\nTim was happy\n");
        labelled = write("text.jsonl", "{\"text\": \"Lily was\", \"label\": \"a\"}\n{\"text\": 3}\n{\"text\": \"Tim\", \"label\": \"b\"}\n");
    }

    private String write(String name, String content) throws IOException {
        return Files.writeString(folder.resolve(name), content).toString();
    }

    private Invocation run(String command, String... arguments) {
        List<String> all = new ArrayList<>(List.of(command, "--model", model, "--observable", "\"\u2581she\" - \"\u2581he\""));
        all.addAll(List.of(arguments));
        return Invocation.of(all.toArray(String[]::new));
    }

    @Test
    void badInputIsTwo() {
        for (Invocation run : List.of(
                run("score"), run("score", "--text", folder.resolve("missing.txt").toString()),
                run("score", "--text", text, "--window", "0"), run("score", "--text", text, "--stride", "200"),
                run("score", "--text", text, "--site", "residual9@-1"), run("score", "--text", text, "--site", "nowhere"),
                run("score", "--text", text, "--vector", text), run("score", "--text", labelled),
                run("score", "--text", text, "--checkpoint", folder.resolve("none/there").toString()),
                run("score", "--text", text, "--checkpoint", text),
                run("compare"), run("compare", "--given", "3"),
                run("compare", "--observable", "#5", "--given", "1", "--radius", "-10"),
                run("compare", "--observable", "#5", "--given", "1", "--radius", "Infinity"),
                run("compare", "--observable", "#5", "--window", "5"), run("compare", "--observable", "#5", "--replicates", "200"),
                run("compare", "--observable", "#5", "--checkpoint", folder.resolve("state").toString()),
                run("lens", "--top", "0"), run("lens", "--by", "length"),
                run("steer", "--prompt", "Lily"), run("steer", "--prompt", "Lily", "--add", "1", "--set", "2"),
                run("steer", "--prompt", "Lily", "--add", "1", "--positions", "7"),
                run("steer", "--prompt", "Lily", "--pairwise"),
                run("steer", "--prompt", "Lily", "--pairwise", "--corrupted", "Tim was"),
                run("steer", "--prompt", "Lily", "--add", "1", "--corrupted", "Tim"),
                run("steer", "--prompt", "Lily", "--add", "1", "--factor", "2"),
                run("steer", "--prompt", "Lily", "--add", "NaN"),
                run("steer", "--prompt", "Lily", "--add", "1", "--observable", "#5"),
                run("probe", "--text", text), run("probe", "--text", labelled),
                run("probe", "--text", labelled, "--malformed", "skip"),
                run("probe", "--text", labelled, "--malformed", "skip", "--positive", "c"),
                run("norms"), run("norms", "--text", text, "--limit", "0"))) {
            assertEquals(2, run.code(), run.err());
            assertEquals("", run.out());
            assertTrue(run.err().lines().filter(line -> !line.endsWith(": skipped")).toList().getLast()
                    .matches("obsprop: .+"), run.err());
        }
        assertTrue(run("score", "--text", labelled).err().contains("text.jsonl, line 2: "), "the line is named");
    }

    @Test
    void messagesNameTheOption() throws IOException {
        named("--train: 0", run("probe", "--text", labelled, "--train", "0"));
        named("--lambda: -1.0", run("probe", "--text", labelled, "--lambda", "-1"));
        named("--replicates: 0", run("probe", "--text", labelled, "--replicates", "0"));
        named("--depth: 0", run("paths", "--prompt", "Lily", "--corrupted", "Tim", "--depth", "0"));
        named("(--group-field names another)", run("norms", "--text", labelled, "--group-field", "nope"));
        named("--group-field: ", run("norms", "--text", text, "--group-field", "nope"));
        Path nowhere = folder.resolve("nowhere.safetensors");
        try (Arena arena = Arena.ofConfined()) {
            SafetensorsWriter.write(nowhere, Map.of("feature", Tensor.ofFloats(arena, new float[64], 64)), Map.of());
        }
        named("--site", run("lens", "--vector", nowhere.toString()));
        named("(start marker at line: 1, column: 1)", run("score", "--text", write("open.jsonl", "{\n")));
    }

    private static void named(String what, Invocation run) {
        assertEquals(2, run.code(), run.out());
        assertTrue(run.err().contains(what), run.err());
    }

    @Test
    void aContextMayBeAsLongAsTheTextAndLonger() {
        assertEquals(run("score", "--text", text, "--context", "500").out(),
                run("score", "--text", text, "--context", Integer.toString(Integer.MAX_VALUE)).out());
    }

    @Test
    void whatTheTokenizerWouldAddIsToldOnce() throws IOException {
        Path copy = Files.createDirectory(folder.resolve("beginning"));
        for (String file : List.of("config.json", "model.safetensors")) {
            Files.copy(Path.of(model).resolve(file), copy.resolve(file));
        }
        Files.writeString(copy.resolve("tokenizer.json"), Files.readString(Path.of(model).resolve("tokenizer.json")).replaceFirst(
                "\"single\":\\s*\\[", "\"single\": [{\"SpecialToken\": {\"id\": \"<s>\", \"type_id\": 0}}, ").replaceFirst(
                "\"special_tokens\":\\s*\\{", "\"special_tokens\": {\"<s>\": {\"id\": \"<s>\", \"ids\": [1], \"tokens\": [\"<s>\"]}"));
        model = copy.toString();
        String examples = write("examples.jsonl", "{\"text\": \"Lily was\", \"label\": \"a\"}\n{\"text\": \"Tim\", \"label\": \"b\"}\n"
                .repeat(2));
        for (Invocation run : List.of(run("score", "--text", text), run("norms", "--text", text),
                run("compare", "--observable", "#300", "--text", text), run("probe", "--text", examples, "--train", "1"),
                run("patch", "--heads", "--check", "0", "--prompt", "Lily was", "--corrupted", "Tim was"))) {
            assertEquals(0, run.code(), run.err());
            assertTrue(run.err().matches("obsprop: no special tokens were added; .* <s> \\(#1\\) .*\\n"), run.err());
        }
        assertEquals("", run("score", "--text", text, "--special-tokens").err());
    }

    @Test
    void aVectorOfAnotherModelIsOneLine() {
        String vector = folder.resolve("demo.safetensors").toString();
        Invocation made = Invocation.of("vector", "--observable", "#1", "--path", "attn1.2@0", "--norm", "none", "--out", vector);
        assertEquals(0, made.code(), made.err());
        Invocation run = run("lens", "--vector", vector);
        assertEquals(2, run.code());
        assertEquals("", run.out());
        assertTrue(run.err().matches("obsprop: .*demo\\.safetensors holds a vector of .*, made with the model demo, .*\\n"),
                run.err());
    }

    @Test
    void malformedLinesAreSkippedOnRequest() {
        Invocation run = run("score", "--text", labelled, "--malformed", "skip", "--json");
        assertEquals(0, run.code(), run.err());
        assertTrue(run.err().contains("text.jsonl, line 2: ") && run.err().contains("skipped"), run.err());
        assertEquals(2, run.json().get("windows").asInt());
        assertEquals("", run("score", "--text", labelled, "--malformed", "skip", "--quiet").err());
    }

    @Test
    void scoresGoOnFromACheckpointAndRefuseOtherTexts() throws IOException {
        Path checkpoint = folder.resolve("state");
        String[] arguments = {"--json", "--text", text, "--window", "3", "--stride", "2", "--checkpoint", checkpoint.toString()};
        Invocation first = run("score", arguments);
        assertEquals(0, first.code(), first.err());
        assertTrue(Files.exists(checkpoint));
        assertEquals(first.out(), run("score", arguments).out());
        assertEquals(first.out(), run("score", "--json", "--text", text, "--window", "3", "--stride", "2").out());
        Files.writeString(Path.of(text), "Something else\n");
        Invocation other = run("score", arguments);
        assertEquals(2, other.code());
        assertTrue(other.err().contains("they have changed"), other.err());
        try (var files = Files.list(folder)) {
            assertFalse(files.anyMatch(file -> file.toString().endsWith(".tmp")), "something half-written stays");
        }
    }

    @Test
    void scoresOfOtherWeightsDoNotGoOn() throws IOException {
        Path copy = Files.createDirectory(folder.resolve("copy"));
        try (var files = Files.list(Path.of(model))) {
            for (Path file : files.filter(Files::isRegularFile).toList()) {
                Files.copy(file, copy.resolve(file.getFileName()), StandardCopyOption.COPY_ATTRIBUTES);
            }
        }
        model = copy.toString();
        String[] arguments = {"--text", text, "--checkpoint", folder.resolve("state").toString()};
        assertEquals(0, run("score", arguments).code());
        assertEquals(0, run("score", arguments).code());
        Files.setLastModifiedTime(copy.resolve("model.safetensors"), FileTime.fromMillis(1));
        Invocation other = run("score", arguments);
        assertEquals(2, other.code(), other.err());
        assertEquals(1, other.err().lines().count(), other.err());
    }

    @Test
    void contextsAreReadable() throws IOException {
        String line = "na\u00efve \u65e5\u672c\u8a9e \ud83d\ude00 she he";
        String file = write("letters.txt", line + "\n");
        JsonNode top = run("score", "--text", file, "--context", "99", "-k", "99", "--json").json().get("top");
        assertTrue(top.size() > 10);
        top.forEach(token -> assertEquals(line, token.get("context").asText()));
        String report = run("score", "--text", file, "--context", "99", "-k", "99").out();
        assertTrue(report.contains("[\u65e5]\u672c\u8a9e") && report.contains("\ud83d\ude00[ she] he\n"), report);
    }

    @Test
    void textReports() {
        for (Invocation run : List.of(run("score", "--text", text, "-k", "2"), run("lens", "-k", "2"),
                run("compare", "--observable", "#300 - #301", "--text", text, "--given", "1", "--radius", "9"),
                run("steer", "--prompt", "Lily was", "--project-out"), run("norms", "--text", text))) {
            assertEquals(0, run.code(), run.err());
            assertFalse(run.out().contains("NaN") && !run.out().contains("intercept"), run.out());
            assertTrue(run.out().lines().count() > 3, run.out());
        }
    }
}

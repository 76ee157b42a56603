package obsprop.cli.commands;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import obsprop.cli.Invocation;
import obsprop.cli.Shared;
import obsprop.propagation.FeatureVector;
import obsprop.propagation.Site;
import obsprop.tensor.Tensor;
import obsprop.tensor.io.SafetensorsFile;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class VectorCommandTest {
    @TempDir
    private Path folder;

    @ParameterizedTest
    @CsvSource({"ln_f_normal_at_clean, output", "attn_chain_feature, attn3.0@-1 <= attn1.2@-1", "all_heads_feature, attn2.*@-1"})
    void notebook(String expected, String path) {
        Fixture fixture = Fixture.open("gpt_neo");
        SafetensorsFile reference = SafetensorsFile.open(
                fixture.directory().resolve("reference_notebook.safetensors"), Arena.ofAuto());
        Path out = folder.resolve("y.safetensors");
        JsonNode document = run(fixture, "--path", path, "--norm", "none",
                "--final-norm", "exact", "--out", out.toString()).json();
        SafetensorsFile file = SafetensorsFile.open(out, Arena.ofAuto());
        Fixture.check(expected, reference.tensor(expected), file.tensor("feature"));
        Fixture.check(expected, reference.tensor(expected).toDoubles(), numbers(document.get("feature")));
        assertEquals("gpt_neo", file.metadata().get("model"));
        assertEquals("golden", file.metadata().get("observable"));
        assertEquals("none (final exact)", file.metadata().get("norm"));
        assertEquals("one", file.metadata().get("pattern"));
        assertEquals("norm none (final exact), pattern one", file.metadata().get("rule"));
    }

    /** By the weights alone, no prompt: the OV feature. */
    @ParameterizedTest
    @CsvSource({"gpt2", "llama", "gemma2", "gpt_neox"})
    void dataFree(String name) {
        Fixture fixture = Fixture.open(name);
        int head = fixture.heads() - 1;
        JsonNode document = Invocation.of("vector", "--json", "--model", fixture.directory().toString(), "--observable",
                fixture.observable(), "--path", "attn1." + head + "@-1", "--norm", "none").json();
        Tensor expected = fixture.expected().tensor("ov_feature").select(0, 1).select(0, head);
        Fixture.check(name + " ov_feature", expected.toDoubles(), numbers(document.get("feature")));
        assertFalse(document.has("score"));
    }

    @Test
    void reportsBoundaryAndErrors() {
        Fixture fixture = Fixture.open("gpt_neo");
        int last = fixture.layers() - 1;
        String path = "mlp" + last + "@-1 <= attn" + (last - 1) + ".*@-2";
        String observable = withABoundary(fixture);
        JsonNode document = ask(fixture, observable, "--json", "--path", path, "--corrupted-token-ids", fixture.prompt(1),
                "--point", "boundary", "--self-error", "0.2").json();
        JsonNode mlp = document.get("mlps").get(0);
        assertEquals("root", mlp.get("outcome").asText());
        assertTrue(mlp.get("lambda").asDouble() > 0 && mlp.get("lambda").asDouble() < 1);
        assertEquals(0, mlp.get("value").asDouble(), 1e-4);
        assertEquals("residual" + (last - 1) + "@" + (fixture.tokens() - 2), document.get("site").get("text").asText());
        JsonNode clean = ask(fixture, observable, "--json", "--path", path, "--self-error", "--quiet").json().get("self_error");
        JsonNode along = clean.get("along_path");
        assertEquals("found", along.get("reach").asText());
        assertTrue(along.get("steps").get(0).get("error").asDouble() < 0.1);
        assertEquals(0.1, along.get("share").asDouble());
        assertTrue(clean.get("total").get("steps").size() > 2);
        double off = document.get("self_error").get("along_path").get("steps").get(0).get("error").asDouble();
        assertTrue(off > along.get("steps").get(0).get("error").asDouble(), "linearised elsewhere, but no worse");
    }

    /** An observable for which the last MLP's part has another sign on the corrupted prompt, so that there is a zero between. */
    private static String withABoundary(Fixture fixture) {
        String path = "mlp" + (fixture.layers() - 1) + "@-1";
        return IntStream.range(0, 40).mapToObj(id -> "#" + id + " - #" + (id + 1)).filter(observable -> {
            JsonNode mlp = ask(fixture, observable, "--json", "--path", path, "--corrupted-token-ids", fixture.prompt(1),
                    "--point", "boundary").json().get("mlps").get(0);
            return mlp.get("outcome").asText().equals("root");
        }).findFirst().orElseThrow();
    }

    /** Vectors of several paths are summed, files can be read back, and the score is the product with the activation. */
    @Test
    void sumsPaths() {
        Fixture fixture = Fixture.open("llama");
        Path out = folder.resolve("sum.safetensors");
        String throughMlp = "mlp1@" + (fixture.tokens() - 1) + " <= attn1.1@4";
        double[] a = numbers(run(fixture, "--path", "attn1.1@4").json().get("feature"));
        double[] b = numbers(run(fixture, "--path", throughMlp).json().get("feature"));
        JsonNode both = run(fixture, "--path", "attn1.1@4", "--path", throughMlp, "--out", out.toString()).json();
        double[] sum = IntStream.range(0, a.length).mapToDouble(i -> a[i] + b[i]).toArray();
        Fixture.check("sum", sum, numbers(both.get("feature")));
        FeatureVector saved = FeatureVector.load(out);
        assertEquals(Site.parse("residual1@4"), saved.site());
        assertEquals("attn1.1@4; " + throughMlp, saved.provenance().path());
        double[] x = fixture.expected().tensor("residual").select(0, 0).select(0, 1).select(0, 4).toDoubles();
        Fixture.check("score", new double[] {saved.dot(x)}, new double[] {both.get("score").asDouble()});
    }

    @Test
    void textForReaders() {
        Fixture fixture = Fixture.open("gpt_neo");
        int last = fixture.layers() - 1;
        String text = ask(fixture, withABoundary(fixture), "--path", "mlp" + last + "@-1", "--corrupted-token-ids", fixture.prompt(1),
                "--point", "boundary", "--self-error").out();
        String end = "@" + (fixture.tokens() - 1);
        for (String part : List.of("path     mlp" + last + end, "site     residual" + last + ".middle" + end, "decision boundary, lambda = 0.",
                "steps along y, along the path alone", "steps along y, through the whole rest of the model")) {
            assertTrue(text.contains(part), text);
        }
    }

    @Test
    void badInputIsTwoAndLeavesNothing() throws IOException {
        Fixture fixture = Fixture.open("gptj");
        String out = folder.resolve("y.safetensors").toString();
        for (List<String> wrong : List.of(List.<String>of(), List.of("--path", "mlp1"), List.of("--path", "mlp99@-1"),
                List.of("--path", "mlp1@-1 <= attn1.0@3"), List.of("--path", "attn1.0@" + fixture.tokens()), List.of("--path", "attn1.99@-1"),
                List.of("--path", "mlp0@-1 <= mlp1@-1"), List.of("--path", "mlp1@-1", "--norm", "some"),
                List.of("--path", "mlp1@-1", "--point", "boundary"), List.of("--path", "mlp1@-1", "--self-error", "2"),
                List.of("--path", "attn1.0@3", "--path", "attn1.0@4"), List.of("--path", "mlp1@-1", "--observable", "#1"),
                List.of("--path", "mlp1@-1", "--corrupted-token-ids", "1,2,3"))) {
            List<String> arguments = new ArrayList<>(wrong);
            arguments.addAll(List.of("--out", out));
            Invocation run = run(fixture, arguments.toArray(String[]::new));
            assertEquals(2, run.code(), wrong + run.err());
            assertEquals("", run.out());
            assertTrue(run.err().matches("obsprop: .+\\n"), run.err());
        }
        for (String[] noPrompt : new String[][] {{"--path", "mlp1@-1", "--norm", "none"}, {"--path", "attn1.0@-1"},
            {"--path", "attn1.0@-1", "--norm", "none", "--self-error"}, {"--path", "attn1.0@-1", "--corrupted-token-ids", "1"}}) {
            List<String> arguments = new ArrayList<>(List.of("vector", "--model", fixture.directory().toString(),
                    "--observable", "#1", "--out", out));
            arguments.addAll(Arrays.asList(noPrompt));
            Invocation run = Invocation.of(arguments.toArray(String[]::new));
            assertEquals(2, run.code(), run.err());
            assertTrue(run.err().contains("prompt"), run.err());
        }
        assertEquals(2, run(Fixture.open("opt-postnorm"), "--path", "mlp1@-1").code());
        try (Stream<Path> left = Files.list(folder)) {
            assertFalse(left.findAny().isPresent());
        }
    }

    @Test
    void aHeadOfTheStoryModel() {
        String model = Shared.path("models/stories260k").toString();
        JsonNode document = Invocation.of("vector", "--json", "--model", model, "--prompt", "Lily was sad because", "--plus",
                "\u2581she", "--minus", "\u2581he", "--path", "attn4.*@-1", "--self-error").json();
        assertTrue(document.get("norm").asDouble() > 0);
        assertEquals("found", document.get("self_error").get("along_path").get("reach").asText());
    }

    private static Invocation run(Fixture fixture, String... more) {
        return ask(fixture, fixture.observable(), Stream.concat(Stream.of("--json"), Arrays.stream(more)).toArray(String[]::new));
    }

    private static Invocation ask(Fixture fixture, String observable, String... more) {
        List<String> arguments = new ArrayList<>(List.of("vector", "--model", fixture.directory().toString(),
                "--observable", observable, "--token-ids", fixture.prompt(0)));
        arguments.addAll(Arrays.asList(more));
        return Invocation.of(arguments.toArray(String[]::new));
    }

    private static double[] numbers(JsonNode array) {
        return IntStream.range(0, array.size()).mapToDouble(i -> array.get(i).asDouble()).toArray();
    }
}

package obsprop.cli.commands;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
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
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import obsprop.cli.Invocation;
import obsprop.cli.Shared;
import obsprop.tensor.Tensor;
import obsprop.tensor.io.SafetensorsFile;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.MethodSource;

/** {@code patch}, {@code paths} and {@code attribute}, as a user runs them. */
class PatchCommandTest {
    private static final double ORACLE = 1e-5;

    @TempDir
    private Path folder;

    static Stream<String> patchable() {
        return Fixture.names().filter(name -> !name.equals("opt-postnorm"));
    }

    private static List<String> question(String command, Fixture fixture, String... more) {
        List<String> arguments = new ArrayList<>(List.of(command, "--model", fixture.directory().toString(),
                "--token-ids", fixture.prompt(0), "--corrupted-token-ids", fixture.prompt(1),
                "--observable", fixture.observable()));
        arguments.addAll(List.of(more));
        return arguments;
    }

    private static JsonNode json(List<String> arguments) {
        List<String> all = new ArrayList<>(arguments);
        all.add("--json");
        return Invocation.of(all.toArray(String[]::new)).json();
    }

    @ParameterizedTest
    @MethodSource("patchable")
    void headTablesAgreeWithTheReference(String name) {
        Fixture fixture = Fixture.open(name);
        SafetensorsFile expected =
                SafetensorsFile.open(fixture.directory().resolve("patching.safetensors"), Arena.ofAuto());
        for (String mode : List.of("full", "ov-only")) {
            Path out = folder.resolve(mode + ".safetensors");
            JsonNode document = json(question("patch", fixture, "--heads", "--mode", mode, "--out", out.toString()));
            Tensor effect = expected.tensor("effect_" + mode.replace('-', '_'));
            SafetensorsFile written = SafetensorsFile.open(out, Arena.ofAuto());
            Fixture.check(name + " " + mode, effect, written.tensor("effect"));
            assertEquals(mode, written.metadata().get("rule"));
            assertEquals(name, written.metadata().get("model"));
            Fixture.check(name + " " + mode + " json", effect.toDoubles(), table(document.get("effect")));
            Fixture.check(name + " clean", expected.tensor("clean").toDoubles(), number(document, "clean"));
            Fixture.check(name + " corrupted", expected.tensor("corrupted").toDoubles(), number(document, "corrupted"));
            double scale = Math.max(1, Math.abs(document.get("clean").asDouble()));
            assertTrue(document.get("oracle").get("largest_difference").asDouble() <= ORACLE * scale);
        }
    }

    private static double[] table(JsonNode rows) {
        return StreamSupport.stream(rows.spliterator(), false)
                .flatMap(row -> StreamSupport.stream(row.spliterator(), false)).mapToDouble(JsonNode::asDouble).toArray();
    }

    private static double[] number(JsonNode document, String field) {
        return new double[] {document.get(field).asDouble()};
    }

    @Test
    void chainsAgreeWithTheNotebook() {
        Fixture fixture = Fixture.open("gpt_neo");
        double[] expected = SafetensorsFile.open(
                fixture.directory().resolve("reference_notebook.safetensors"), Arena.ofAuto())
                .tensor("chain_path_patch").toDoubles();
        List<String> chains = List.of("attn2.0@6 <= attn0.1@3", "attn2.1@9 <= mlp0@9",
                "attn3.0@17 <= mlp2@17 <= attn1.2@15", "mlp3@-1 <= mlp1@-1", "attn3.4@18 <= mlp1@18 <= attn0.3@12");
        double[] actual = chains.stream().mapToDouble(chain ->
                json(question("patch", fixture, "--path", chain, "--mode", "ov-only")).get("effect").asDouble()).toArray();
        Fixture.check("chains", expected, actual);
    }

    @ParameterizedTest
    @CsvSource({"gpt2,signed,full", "gemma2,absolute,ov-only", "gptj,lowest,full"})
    void foundPathsHaveTheEffectThatPatchSays(String name, String rank, String mode) {
        Fixture fixture = Fixture.open(name);
        JsonNode document = json(question("paths", fixture, "--beam", "3", "--depth", "3", "--rank", rank, "--mode", mode));
        assertEquals(3, document.get("paths").size());
        for (JsonNode found : document.get("paths")) {
            JsonNode patched = json(question("patch", fixture, "--path", found.get("path").asText(), "--mode", mode));
            assertEquals(patched.get("effect").asDouble(), found.get("effect").asDouble(), 1e-5);
        }
        assertEquals(1, document.get("cosines").get(0).get(0).asDouble(), 1e-9);
        String tail = document.get("paths").get(0).get("path").asText().split(" <= ")[0];
        JsonNode fixed = json(question("paths", fixture, "--tail", tail, "--depth", "2", "--beam", "2"));
        assertTrue(fixed.get("paths").get(0).get("path").asText().startsWith(tail));
    }

    @ParameterizedTest
    @MethodSource("patchable")
    void attributionAddsUp(String name) {
        Fixture fixture = Fixture.open(name);
        Path out = folder.resolve("parts.safetensors");
        JsonNode document = json(List.of("attribute", "--model", fixture.directory().toString(), "--token-ids",
                fixture.prompt(1), "--observable", fixture.observable(), "--out", out.toString()));
        double sum = document.get("embedding").asDouble() + document.get("constant").asDouble();
        for (String part : List.of("heads", "mlps")) {
            for (JsonNode item : document.get(part)) {
                sum += item.get("value").asDouble();
            }
        }
        double total = document.get("total").asDouble();
        assertEquals(total, sum, 1e-5 * Math.max(1, Math.abs(total)));
        SafetensorsFile corrupted =
                SafetensorsFile.open(fixture.directory().resolve("patching.safetensors"), Arena.ofAuto());
        Fixture.check(name + " total", corrupted.tensor("corrupted").toDoubles(), new double[] {total});
        Tensor heads = SafetensorsFile.open(out, Arena.ofAuto()).tensor("heads");
        JsonNode last = document.get("heads").get(document.get("heads").size() - 1);
        assertEquals(last.get("value").asDouble(), heads.get(
                last.get("layer").asInt(), last.get("head").asInt(), last.get("token").asInt()), 1e-6);
        assertArrayEquals(new int[] {heads.size(0), heads.size(1), fixture.tokens()}, heads.shape());
    }

    /** The finding that the software is for, in a minute: a few heads make the difference between Lily and Tim. */
    @Test
    void storiesOfLilyAndTim() {
        String model = Shared.path("models/stories260k").toString();
        List<String> observable = List.of("--model", model, "--plus", "▁she", "--minus", "▁he");
        List<String> pair = new ArrayList<>(observable);
        pair.addAll(List.of("--prompt", "Lily was sad because", "--corrupted", "Tim was sad because"));
        List<String> heads = new ArrayList<>(List.of("patch", "--heads"));
        heads.addAll(pair);
        JsonNode patched = json(heads);
        assertEquals(3.19, patched.get("clean").asDouble(), 0.005);
        assertEquals(-4.70, patched.get("corrupted").asDouble(), 0.005);
        assertTrue(Arrays.stream(table(patched.get("effect"))).max().orElseThrow() > 0.5);
        List<String> paths = new ArrayList<>(List.of("paths", "--depth", "3", "--beam", "5"));
        paths.addAll(pair);
        JsonNode found = json(paths).get("paths");
        assertTrue(found.get(0).get("effect").asDouble() >= found.get(4).get("effect").asDouble());
        Invocation text = Invocation.of(paths.toArray(String[]::new));
        assertEquals(0, text.code());
        assertTrue(text.err().contains("rerun in full"), text.err());
        assertTrue(text.out().contains(found.get(0).get("path").asText()), text.out());
    }

    /** The mean over two pairs, each also run by itself; ablations, the mean over one prompt being that prompt. */
    @Test
    void manyPairsAndAblations() throws IOException {
        String model = Shared.path("models/stories260k").toString();
        List<String> question = List.of("patch", "--heads", "--model", model, "--plus", "▁she", "--minus", "▁he");
        List<String> clean = List.of("Lily was sad because", "Lily was happy because");
        List<String> corrupted = List.of("Tim was sad because", "Tim was happy because");
        Path file = folder.resolve("pairs.jsonl");
        double[] mean = new double[40];
        StringBuilder lines = new StringBuilder();
        for (int i = 0; i < 2; i++) {
            lines.append("{\"clean\": \"").append(clean.get(i)).append("\", \"corrupted\": \"")
                    .append(corrupted.get(i)).append("\"}\n");
            double[] one = table(json(with(question, "--prompt", clean.get(i), "--corrupted", corrupted.get(i))).get("effect"));
            for (int j = 0; j < mean.length; j++) {
                mean[j] += one[j] / 2;
            }
        }
        Files.writeString(file, lines);
        Path out = folder.resolve("mean.safetensors");
        JsonNode document = json(with(question, "--pairs", file.toString(), "--out", out.toString()));
        assertEquals(2, document.get("pairs").asInt());
        assertEquals(4, document.get("oracle").get("samples").asInt());
        assertTrue(document.get("oracle").get("largest_difference").asDouble() < ORACLE * 5);
        assertFalse(json(with(question, "--pairs", file.toString(), "--check", "0")).has("oracle"));
        refused(with(question, "--pairs", file.toString(), "--check", "-1"), "negative --check");
        refused(with(question, "--pairs", file.toString(), "--over", file.toString()), "--over without --ablate mean");
        refused(with(question, "--prompt", clean.get(0), "--ablate", "zero", "--over", file.toString()), "--over, zero");
        refused(with(question, "--prompt", clean.get(0), "--corrupted", corrupted.get(0), "--tokens", "all"), "--tokens, --heads");
        assertArrayEquals(mean, table(document.get("effect")), 1e-5);
        assertTrue(Arrays.stream(table(document.get("standard_error"))).allMatch(e -> e >= 0));
        SafetensorsFile written = SafetensorsFile.open(out, Arena.ofAuto());
        assertArrayEquals(new int[] {5, 8}, written.tensor("standard_error").shape());
        assertEquals(List.of("effect", "standard_error"), List.copyOf(written.names()), "in the same order every time");

        Path over = folder.resolve("over.txt");
        Files.writeString(over, corrupted.getFirst() + "\n");
        double[] patched = table(json(with(question, "--prompt", clean.get(0), "--corrupted", corrupted.get(0))).get("effect"));
        JsonNode byMean = json(with(question, "--prompt", clean.get(0), "--ablate", "mean", "--over", over.toString()));
        assertArrayEquals(patched, table(byMean.get("effect")), 1e-5);
        JsonNode byZero = json(with(question, "--prompt", clean.get(0), "--ablate", "zero"));
        assertTrue(byZero.get("oracle").get("largest_difference").asDouble() < ORACLE * 5);
        assertEquals(0, byZero.get("corrupted").asDouble(), 1e-9);
        refused(with(question, "--prompt", clean.get(0), "--ablate", "mean"), "no --over");
        refused(with(question, "--prompt", clean.get(0), "--corrupted", corrupted.get(0), "--ablate", "zero"), "both");
        refused(with(question, "--pairs", folder.resolve("missing").toString()), "missing pairs");
        Files.writeString(file, "{\"clean\": \"a\"}\n");
        refused(with(question, "--pairs", file.toString()), "half a pair");
        Files.writeString(file, lines.toString().replaceFirst("\\}", "} more"));
        refused(with(question, "--pairs", file.toString()), "more than JSON");
    }

    private static List<String> with(List<String> question, String... more) {
        List<String> arguments = new ArrayList<>(question);
        arguments.addAll(List.of(more));
        return arguments;
    }

    @Test
    void badInputIsTwoAndLeavesNothing() throws IOException {
        Fixture fixture = Fixture.open("gpt2");
        String out = folder.resolve("out.safetensors").toString();
        for (List<String> wrong : List.of(List.<String>of(), List.of("--heads", "--path", "mlp0@0"),
                List.of("--path", "attn99.0@1"), List.of("--path", "attn1.0"), List.of("--path", "mlp1@3"),
                List.of("--path", "attn0.0@5 <= mlp1@5"), List.of("--heads", "--mode", "half"),
                List.of("--heads", "--position", Integer.toString(fixture.tokens())), List.of("--heads", "--observable", "#1"))) {
            List<String> arguments = question("patch", fixture, "--out", out);
            arguments.addAll(wrong);
            refused(arguments, wrong.toString());
        }
        refused(List.of("patch", "--heads", "--model", fixture.directory().toString(), "--token-ids", "1,2,3",
                "--corrupted-token-ids", "1,2", "--observable", "#1", "--out", out), "lengths");
        refused(question("patch", Fixture.open("opt-postnorm"), "--heads", "--out", out), "no direct effects");
        refused(question("paths", fixture, "--beam", "0"), "beam");
        refused(question("paths", fixture, "--check", "-1"), "check");
        refused(question("paths", fixture, "--tail", "attn77.0@1"), "tail");
        refused(question("paths", fixture, "--read", Integer.toString(fixture.tokens())), "read");
        refused(List.of("attribute", "--model", Fixture.open("opt-postnorm").directory().toString(),
                "--token-ids", "1,2", "--observable", "#1", "--out", out), "no direct effects");
        try (Stream<Path> left = Files.list(folder)) {
            assertFalse(left.findAny().isPresent());
        }
    }

    private static void refused(List<String> arguments, String what) {
        Invocation run = Invocation.of(arguments.toArray(String[]::new));
        assertEquals(2, run.code(), what + ": " + run.err());
        assertEquals("", run.out());
        assertTrue(run.err().matches("obsprop: .+\\n"), run.err());
        System.out.print(run.err());
    }
}

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
import obsprop.cli.Invocation;
import obsprop.cli.Shared;
import obsprop.tensor.Tensor;
import obsprop.tensor.io.SafetensorsFile;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class TraceCommandTest {
    @TempDir
    private Path folder;

    @ParameterizedTest
    @CsvSource({"gpt2,exact", "gpt2-scaled,frozen-both", "gpt_neo,frozen-attention", "llama,frozen-norm", "llama3,exact",
        "gemma2,frozen-norm", "gptj,frozen-attention", "opt-postnorm,exact"})
    void agreesWithTheReference(String name, String rule) {
        Fixture fixture = Fixture.open(name);
        for (int b = 0; b < 2; b++) {
            Path out = folder.resolve("prompt" + b + ".safetensors");
            JsonNode document = Invocation.of("trace", "--json", "--model", fixture.directory().toString(),
                    "--token-ids", fixture.prompt(b), "--observable", fixture.observable(), "--rule", rule,
                    "--out", out.toString()).json();
            SafetensorsFile file = SafetensorsFile.open(out, Arena.ofAuto());
            assertEquals(List.of("logits", "residual", "pattern", "gradient", "ov_feature"), List.copyOf(file.names()));
            check(fixture, file, "logits", "logits", b);
            check(fixture, file, "residual", "residual", b);
            check(fixture, file, "pattern", "pattern", b);
            Tensor gradient = fixture.expected().tensor("grad_" + rule.replace('-', '_')).select(0, b);
            Fixture.check(name + " " + rule, gradient, file.tensor("gradient").select(0, 0));
            Fixture.check(name + " ov_feature", fixture.expected().tensor("ov_feature"), file.tensor("ov_feature").select(0, 0));
            assertEquals(name, file.metadata().get("model"));
            assertEquals("golden", file.metadata().get("observable"));
            assertEquals(rule, file.metadata().get("rule"));
            Fixture.check(name + " value", new double[] {value(fixture, b)},
                    new double[] {document.get("observables").get(0).get("value").asDouble()});
        }
    }

    private static void check(Fixture fixture, SafetensorsFile file, String written, String expected, int b) {
        Fixture.check(fixture.directory().getFileName() + " " + written, fixture.expected().tensor(expected).select(0, b), file.tensor(written));
    }

    private static double value(Fixture fixture, int b) {
        Tensor logits = fixture.expected().tensor("logits").select(0, b);
        double[] last = logits.select(0, logits.size(0) - 1).toDoubles();
        double[] n = fixture.expected().tensor("observable").toDoubles();
        double sum = 0;
        for (int i = 0; i < n.length; i++) {
            sum += n[i] * last[i];
        }
        return sum;
    }

    @Test
    void severalObservablesComeInTheirOrder() {
        String model = Fixture.open("gpt2").directory().toString();
        Path out = folder.resolve("out.safetensors");
        JsonNode document = Invocation.of("trace", "--json", "--model", model, "--token-ids", "1,2,3", "--position", "-2",
                "--observable", "a=#1 - #2", "--observable", "b=2*#1 - 2*#2", "--out", out.toString()).json();
        assertEquals(1, document.get("position").asInt());
        SafetensorsFile file = SafetensorsFile.open(out, Arena.ofAuto());
        assertEquals(Arrays.toString(file.tensor("gradient").shape()).replace(" ", ""),
                document.get("tensors").get("gradient").toString());
        double[] a = file.tensor("gradient").select(0, 0).toDoubles();
        double[] b = file.tensor("gradient").select(0, 1).toDoubles();
        double[] doubled = Arrays.stream(a).map(x -> 2 * x).toArray();
        assertArrayEquals(doubled, b, 1e-5);
        assertTrue(Arrays.stream(a).anyMatch(x -> Math.abs(x) > 1e-3));
        assertEquals("a; b", file.metadata().get("observable"));
        // Nothing that comes after the token that is read can matter.
        Tensor gradient = file.tensor("gradient");
        assertTrue(Arrays.stream(gradient.select(2, 2).toDoubles()).allMatch(x -> x == 0));
    }

    @Test
    void theSameRunWritesTheSameBytesAndTokensKeepToTheirLine() {
        Path out = folder.resolve("out.safetensors");
        Invocation run = Invocation.of("trace", "--prompt", "So\n", "--observable", "\"\n\" - #5", "--out", out.toString());
        assertEquals(0, run.code(), run.err());
        // In an order that does not change from one JVM to the next.
        List<String> keys = List.copyOf(SafetensorsFile.open(out, Arena.ofAuto()).metadata().keySet());
        assertEquals(List.of("model", "observable", "position", "rule", "token_ids"), keys);
        assertTrue(run.out().contains("at token 1, \"\\n\", of 2\n"), run.out());
        assertTrue(run.out().contains("  \"\\n\" "), run.out());
    }

    @Test
    void theStoryModelKnowsWhoIsSad() {
        String model = Shared.path("models/stories260k").toString();
        assertEquals(3.19, value(model, "Lily was sad because"), 0.005);
        assertEquals(-4.70, value(model, "Tim was sad because"), 0.005);
    }

    private static double value(String model, String prompt) {
        return Invocation.of("trace", "--json", "--model", model, "--prompt", prompt, "--plus", "\u2581she", "--minus", "\u2581he")
                .json().get("observables").get(0).get("value").asDouble();
    }

    @Test
    void badInputIsTwoAndLeavesNothing() throws IOException {
        String model = Fixture.open("gpt2").directory().toString();
        String out = folder.resolve("out.safetensors").toString();
        for (List<String> wrong : List.of(List.<String>of(), List.of("--prompt", "text"), List.of("--token-ids", "1,999999"),
                List.of("--token-ids", ""), List.of("--token-ids", "1", "--prompt", "x"), List.of("--token-ids", "1,2", "--position", "2"),
                List.of("--token-ids", "0" + ",0".repeat(9999)), List.of("--token-ids", "1", "--rule", "paper"),
                List.of("--token-ids", "1", "--special-tokens"), List.of("--token-ids", "1", "--out", model + "/model.safetensors"),
                List.of("--token-ids", "1", "--out", folder.toString()),
                List.of("--token-ids", "1", "--out", folder.resolve("missing/out").toString()))) {
            List<String> arguments = new ArrayList<>(List.of("trace", "--model", model, "--observable", "#1"));
            arguments.addAll(wrong.contains("--out") ? List.of() : List.of("--out", out));
            arguments.addAll(wrong);
            Invocation run = Invocation.of(arguments.toArray(String[]::new));
            assertEquals(2, run.code(), wrong + run.err());
            assertEquals("", run.out());
            assertTrue(run.err().matches("obsprop: .+\\n"), run.err());
        }
        try (Stream<Path> left = Files.list(folder)) {
            assertFalse(left.findAny().isPresent());
        }
    }
}

package obsprop.cli.commands;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import obsprop.cli.Invocation;
import obsprop.model.family.DemoModel;
import obsprop.tensor.Tensor;
import obsprop.tensor.io.SafetensorsFile;
import obsprop.tensor.io.SafetensorsWriter;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Weights that are no numbers, and numbers that are too large, end in one line and leave nothing behind. */
class NotFiniteTest {
    private static final String OBSERVABLE = "\" she\" - \" he\"";
    private static final String[] PROMPTS = {"--prompt", "So, Mary really is", "--corrupted", "So, John really is"};

    @TempDir
    private Path folder;

    private Path model;
    private String text;

    @BeforeEach
    void inputs() throws IOException {
        model = Files.createDirectory(folder.resolve("model"));
        try (DemoModel demo = DemoModel.unpack(); Stream<Path> files = Files.list(demo.directory())) {
            for (Path file : files.toList()) {
                Files.copy(file, model.resolve(file.getFileName()));
            }
        }
        text = Files.writeString(folder.resolve("text.jsonl"), ("{\"text\": \"Mary is a friend\", \"label\": \"a\"}\n"
                + "{\"text\": \"John is here\", \"label\": \"b\"}\n").repeat(2)).toString();
    }

    /** Puts a NaN into each of {@code names}. */
    private void spoil(String... names) throws IOException {
        Path file = model.resolve("model.safetensors");
        try (Arena arena = Arena.ofConfined()) {
            Map<String, Tensor> tensors = new LinkedHashMap<>();
            SafetensorsFile whole = SafetensorsFile.open(file, arena);
            whole.names().forEach(name -> tensors.put(name, whole.tensor(name)));
            for (String name : names) {
                Tensor copy = Tensor.allocate(arena, whole.dtype(name), whole.tensor(name).shape());
                copy.segment().copyFrom(whole.tensor(name).segment());
                copy.set(Double.NaN, 3, 0);
                tensors.put(name, copy);
            }
            SafetensorsWriter.write(file, tensors, Map.of());
        }
    }

    private Invocation run(String command, String... arguments) {
        List<String> all = new ArrayList<>(List.of(command, "--quiet", "--model", model.toString(), "--observable", OBSERVABLE));
        all.addAll(List.of(arguments));
        return Invocation.of(all.toArray(String[]::new));
    }

    private Invocation onPrompts(String command, String... arguments) {
        return run(command, Stream.concat(Stream.of(arguments), Stream.of(PROMPTS)).toArray(String[]::new));
    }

    private Invocation onPrompt(String command, String... arguments) {
        return run(command, Stream.concat(Stream.of(arguments), Stream.of(PROMPTS).limit(2)).toArray(String[]::new));
    }

    private void refused(String what, Invocation run) throws IOException {
        assertEquals(2, run.code(), what + ": " + run.out() + run.err());
        assertEquals("", run.out());
        assertTrue(run.err().matches("obsprop: .+ not finite.*\\n"), run.err());
        try (Stream<Path> files = Files.list(folder)) {
            assertEquals(2, files.count(), what + " leaves something behind");
        }
    }

    @Test
    void weightsOfAHead() throws IOException {
        spoil("transformer.h.1.attn.attention.out_proj.weight");
        String out = folder.resolve("out.safetensors").toString();
        refused("heads", run("heads"));
        refused("trace", onPrompt("trace", "--out", out));
        refused("vector", run("vector", "--path", "attn1.0@-1", "--norm", "none", "--out", out));
        refused("attribute", onPrompt("attribute", "--out", out));
        refused("patch", onPrompts("patch", "--heads", "--out", out));
        refused("patch --path", onPrompts("patch", "--path", "attn1.0@-1", "--out", out));
        refused("paths", onPrompts("paths", "--depth", "2"));
        refused("score", run("score", "--text", text));
        refused("compare", run("compare", "--observable", "#5 - #6", "--text", text));
        refused("steer", onPrompt("steer", "--add", "1"));
        refused("steer above", onPrompt("steer", "--add", "1", "--site", "residual0@-1"));
        refused("probe", run("probe", "--text", text, "--train", "1"));
        refused("norms", run("norms", "--text", text));
    }

    @Test
    void weightsOfOneToken() throws IOException {
        spoil("transformer.wte.weight");
        refused("trace", onPrompt("trace", "--out", folder.resolve("out.safetensors").toString()));
        refused("lens", run("lens"));
        refused("heads", run("heads", "--observable", "#3"));
        refused("compare", run("compare", "--observable", "#3"));
    }

    @Test
    void numbersThatAreTooLarge() throws IOException {
        refused("heads", run("heads", "--observable", "1e38*#3"));
        refused("steer", onPrompt("steer", "--add", "1e39"));
        assertTrue(run("heads", "--observable", "1e39*#3").err().contains("too large"));
    }

    @Test
    void aStandardErrorOfOnePairIsNull() throws IOException {
        Path pairs = Files.writeString(folder.resolve("pairs.jsonl"),
                "{\"clean\": \"" + PROMPTS[1] + "\", \"corrupted\": \"" + PROMPTS[3] + "\"}\n");
        assertTrue(run("patch", "--heads", "--json", "--pairs", pairs.toString()).json()
                .get("standard_error").get(0).get(0).isNull());
    }
}

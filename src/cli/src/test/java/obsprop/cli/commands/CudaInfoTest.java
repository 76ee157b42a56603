package obsprop.cli.commands;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.stream.Stream;
import obsprop.cli.Invocation;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What the command line says about a device and the room on it. */
class CudaInfoTest {
    private EmulatedCuda emulator;

    @TempDir
    private Path folder;

    @BeforeEach
    void select() {
        emulator = new EmulatedCuda();
    }

    @AfterEach
    void forget() {
        if (emulator != null) {
            emulator.close();
        }
    }

    private static Invocation info(String model, String... more) {
        return infoOf(Fixture.open(model).directory().toString(), more);
    }

    private static Invocation infoOf(String directory, String... more) {
        String[] arguments = {"info", "--device", "cuda", "--model", directory};
        return Invocation.of(Stream.of(arguments, more).flatMap(Arrays::stream).toArray(String[]::new));
    }

    @Test
    void measuresWhatCoarserProductsCost() {
        JsonNode backend = info("llama", "--json").json().get("backend");
        assertTrue(backend.get("name").asText().contains("emulator"), backend.toString());
        double tf32 = backend.get("logit_errors").get("tf32").asDouble();
        double bf16 = backend.get("logit_errors").get("bf16").asDouble();
        System.out.println("logits of llama: tf32 off by " + tf32 + ", bf16 by " + bf16);
        assertTrue(1e-6 < tf32 && tf32 < bf16 && bf16 < 0.1, tf32 + ", " + bf16);
    }

    @Test
    void speaksToReaders() {
        Invocation run = info("llama");
        assertEquals(0, run.code(), run.err());
        assertTrue(run.out().contains("tf32        logits off by "), run.out());
        assertTrue(run.out().contains("free on the device beside the weights: that run fits"), run.out());
    }

    @Test
    void refusesAModelThatDoesNotFit() {
        // An eighth, too little for two layers too.
        long free = info("llama", "--json").json().get("memory").get("weights").asLong() / 8192;
        emulator.limitMemory(free << 10);
        Invocation run = info("llama");
        assertEquals(2, run.code());
        assertTrue(run.err().matches("(?s).*the weights in .*llama take \\d+ KiB, the CUDA device has " + free + " KiB free; beside them a"
                + " pass takes \\d+ KiB a token.* for 1 prompt of \\d+ tokens and 1 observable: use --device cpu.*"), run.err());
    }

    /** A model of twelve layers, of which two have room: {@code info} opens it a second time, to measure. */
    @Test
    void streamsOneThatDoesNotFit() {
        String deep = folder.resolve("deep").toString();
        Invocation made = Invocation.of("weights", "random", "--config", Fixture.open("llama").directory().toString(),
                "--set", "num_hidden_layers=12", "--set", "vocab_size=64", "--out", deep);
        assertEquals(0, made.code(), made.err());
        long weights = infoOf(deep, "--json").json().get("memory").get("weights").asLong();
        emulator.limitMemory(weights - 1);
        Invocation refused = infoOf(deep);
        assertEquals(2, refused.code());
        assertTrue(refused.err().contains("use --stream-layers, which has "), refused.err());
        Invocation run = infoOf(deep, "--stream-layers", "--tokens", "100000");
        assertEquals(0, run.code(), run.err());
        assertTrue(run.out().contains("layers streamed from the host"), run.out());
        assertTrue(run.out().contains("that run does not fit"), run.out());
        Invocation trace = Invocation.of("trace", "--device", "cuda", "--stream-layers", "--model",
                deep, "--observable", "#3 - #4", "--token-ids", "3,4,5");
        assertEquals(0, trace.code(), trace.err());
    }
}

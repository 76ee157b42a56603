package obsprop.cli.commands;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.JsonNode;
import java.util.stream.Stream;
import obsprop.cli.Invocation;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class InfoCommandTest {
    static Stream<String> fixtures() {
        return Fixture.names();
    }

    @ParameterizedTest
    @MethodSource("fixtures")
    void knowsEveryFamily(String name) {
        Fixture fixture = Fixture.open(name);
        JsonNode document = Invocation.of("info", "--json", "--device", "cpu-scalar", "--model", fixture.directory().toString()).json();
        assertEquals(fixture.expected().tensor("ov_feature").size(0), document.get("layers").asInt());
        assertEquals(fixture.expected().tensor("ov_feature").size(1), document.get("heads").asInt());
        assertEquals(fixture.expected().tensor("observable").size(0), document.get("d_vocab").asInt());
        assertEquals(!name.equals("opt-postnorm"), document.get("direct_effects").asBoolean());
        assertTrue(document.get("backend").get("reason").asText().contains("cpu-scalar"));
        JsonNode memory = document.get("memory");
        assertTrue(memory.get("per_token").asLong() > memory.get("per_token_residuals").asLong());
        assertTrue(memory.get("weights").asLong() > 0);
    }

    @Test
    void plansARunOfTheAskedSize() {
        String dir = Fixture.open("gpt2").directory().toString();
        JsonNode one = Invocation.of("info", "--json", "--model", dir, "--tokens", "8").json().get("memory");
        JsonNode four = Invocation.of("info", "--json", "--model", dir, "--tokens", "8", "--prompts", "2",
                "--observables", "2").json().get("memory");
        long pass = 8 * one.get("per_token").asLong();
        long back = 8 * one.get("per_token_and_observable").asLong();
        assertEquals(pass + back, one.get("run").asLong());
        assertEquals(2 * pass + 4 * back, four.get("run").asLong());
        JsonNode huge = Invocation.of("info", "--json", "--model", dir, "--tokens", "131072", "--prompts", "20000").json().get("memory");
        assertTrue(huge.get("run").asLong() > 131072L * 20000 * huge.get("per_token_residuals").asLong());
        assertEquals(2, Invocation.of("info", "--model", dir, "--tokens", "0").code());
        String most = Integer.toString(Integer.MAX_VALUE);
        Invocation beyond = Invocation.of("info", "--quiet", "--model", dir, "--tokens", most, "--prompts", most,
                "--observables", most);
        assertEquals(2, beyond.code(), beyond.out());
        assertEquals("", Invocation.of("info", "--model", dir, "--tokens", "48").err());
        assertTrue(Invocation.of("info", "--model", dir, "--tokens", "49").err().contains("context of 48"));
    }

    @Test
    void speaksToReaders() {
        Invocation run = Invocation.of("info", "--model", Fixture.open("llama").directory().toString());
        assertEquals(0, run.code(), run.err());
        assertTrue(run.out().startsWith("model       llama\nfamily      llama\n"), run.out());
        assertTrue(run.out().contains("none: there is no "), run.out());
    }
}

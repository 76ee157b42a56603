package obsprop.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.List;
import obsprop.tensor.io.SafetensorsFile;
import org.junit.jupiter.api.Test;

/** The tools for model files are reached as {@code obsprop weights}. */
class WeightsMountTest {
    private record Run(int code, String out, String err) {}

    private static Run run(String... arguments) {
        StringWriter out = new StringWriter();
        StringWriter err = new StringWriter();
        Main main = new Main(Commands.line(List.of(arguments)), new PrintWriter(out), new PrintWriter(err), false);
        return new Run(main.run(List.of(arguments)), out.toString(), err.toString());
    }

    @Test
    void inspectsAFixture() {
        Path model = Path.of(System.getProperty("obsprop.golden"), "opt");
        Run run = run("weights", "inspect", model.toString());
        assertEquals(0, run.code, run.err);
        try (Arena arena = Arena.ofConfined()) {
            SafetensorsFile file = SafetensorsFile.open(model.resolve("model.safetensors"), arena);
            long elements = file.names().stream().mapToLong(name -> file.tensor(name).elements()).sum();
            assertTrue(run.out.contains(file.names().size() + " tensors, " + elements + " elements"), run.out);
        }
    }

    @Test
    void badInputIsOneLine() {
        Run run = run("weights", "random", "--like", "nothing", "--out", "never-made");
        assertEquals(2, run.code);
        assertEquals(1, run.err.lines().count(), run.err);
        assertEquals(2, run("weights").code);
    }
}

package obsprop.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Path;
import java.util.List;
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
        assertTrue(run.out.contains("52 tensors, 35748 elements"), run.out);
    }

    @Test
    void badInputIsOneLine() {
        Run run = run("weights", "random", "--like", "nothing", "--out", "never-made");
        assertEquals(2, run.code);
        assertEquals(1, run.err.lines().count(), run.err);
        assertEquals(2, run("weights").code);
    }
}

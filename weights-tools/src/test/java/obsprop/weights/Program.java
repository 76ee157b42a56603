package obsprop.weights;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Path;
import java.util.Arrays;
import picocli.CommandLine;

/** Runs the program within a test. */
public final class Program {
    private Program() {}

    /** What a run left: exit code and both streams. */
    public record Run(int exitCode, String out, String err) {}

    public static Run run(Object... arguments) {
        StringWriter out = new StringWriter();
        StringWriter err = new StringWriter();
        CommandLine program = WeightsCommand.commandLine()
                .setOut(new PrintWriter(out, true)).setErr(new PrintWriter(err, true));
        int code = program.execute(Arrays.stream(arguments).map(String::valueOf).toArray(String[]::new));
        return new Run(code, out.toString(), err.toString());
    }

    /** The fixture of a family. */
    public static Path golden(String family) {
        return Path.of(System.getProperty("obsprop.golden"), family);
    }
}

package obsprop.weights;

import picocli.CommandLine;
import picocli.CommandLine.Command;

/** The program {@code weights}; also a subcommand for other picocli programs. */
@Command(
        name = "weights",
        mixinStandardHelpOptions = true,
        description = "Inspect, convert, verify, make up and train model files.",
        subcommands = {
            InspectCommand.class, ConvertCommand.class, RandomCommand.class, VerifyCommand.class, CorpusCommand.class,
            TrainCommand.class
        })
public final class WeightsCommand {
    /** For picocli, also as a subcommand of another program. */
    public WeightsCommand() {}

    /** Runs the program and ends the JVM with its exit code: 0 done, 2 bad usage or input, 1 anything else. */
    public static void main(String[] args) {
        System.exit(commandLine().execute(args));
    }

    /** The program with its handling of errors, for embedding and tests. */
    public static CommandLine commandLine() {
        return new CommandLine(new WeightsCommand())
                .setCaseInsensitiveEnumValuesAllowed(true)
                .setParameterExceptionHandler(Failures::badUsage)
                .setExecutionExceptionHandler(Failures::failed);
    }
}

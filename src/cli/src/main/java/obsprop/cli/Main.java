package obsprop.cli;

import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.PrintWriter;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileSystemException;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;
import obsprop.backend.Backend;
import obsprop.cli.options.OptionalValue;
import obsprop.cli.output.Json;
import obsprop.cli.output.Report;
import obsprop.launcher.Arguments;
import obsprop.tensor.io.FormatException;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.ParseResult;
import picocli.CommandLine;

/** Runs one command, prints its report, and turns what went wrong into one line and an exit code. */
public final class Main {
    private static final int DONE = 0;
    private static final int FAILED = 1;
    private static final int MISUSED = 2;
    private static final String DEBUG = "OBSPROP_DEBUG";

    private final CommandLine line;
    private final PrintWriter out;
    private final PrintWriter err;
    private final boolean debug;

    /** Results of the commands of {@code line} go to {@code out}, all else to {@code err}; {@code debug} adds stack traces. */
    Main(CommandLine line, PrintWriter out, PrintWriter err, boolean debug) {
        this.line = line
                .setOut(out).setErr(err)
                .setExpandAtFiles(false)
                .setAllowOptionsAsOptionParameters(true)
                .setCaseInsensitiveEnumValuesAllowed(true)
                .setParameterExceptionHandler((e, given) -> misused(e))
                .setExecutionExceptionHandler((e, command, given) -> failed(e));
        this.out = out;
        this.err = err;
        this.debug = debug;
    }

    /** The entry point that the launcher starts. Both streams are UTF-8, whatever the locale, as JSON has to be. */
    public static void main(String[] arguments) {
        endWithLauncher();
        List<String> received = Arguments.received(arguments);
        Main main = new Main(Commands.line(received), writer(FileDescriptor.out), writer(FileDescriptor.err),
                "1".equals(System.getenv(DEBUG)));
        System.exit(main.run(received));
    }

    private static PrintWriter writer(FileDescriptor descriptor) {
        return new PrintWriter(new FileOutputStream(descriptor), false, StandardCharsets.UTF_8);
    }

    /** A launcher that was killed outright could not end this process, so this process looks out for it, and tidies up. */
    private static void endWithLauncher() {
        long launcher = Long.getLong("obsprop.launcher", 0);
        if (launcher != 0) {
            ProcessHandle.of(launcher).ifPresent(handle ->
                    handle.onExit().thenRun(() -> System.exit(FAILED)));
        }
    }

    /** Runs {@code arguments} and returns the exit code. */
    int run(List<String> arguments) {
        try {
            return execute(arguments);
        } catch (OutOfMemoryError e) {
            return failed(e, FAILED, "out of memory: give the JVM more, as in OBSPROP_JVM_OPTS=-Xmx8g");
        } finally {
            out.flush();
            err.flush();
        }
    }

    private int execute(List<String> arguments) {
        Optional<CommandLine.ParameterException> missing = missingValue(arguments);
        if (missing.isPresent()) {
            return misused(missing.get());
        }
        int code = line.execute(arguments.toArray(String[]::new));
        return code == DONE ? print(last(line.getParseResult())) : code;
    }

    /** An option in the place of another one's value; attached, as in {@code --prompt=--json}, it is a value. */
    private Optional<CommandLine.ParameterException> missingValue(List<String> arguments) {
        CommandLine command = line;
        for (int i = 0; i + 1 < arguments.size(); i++) {
            command = command.getSubcommands().getOrDefault(arguments.get(i), command);
            OptionSpec option = command.getCommandSpec().findOption(arguments.get(i));
            String next = arguments.get(i + 1);
            if (option != null && option.arity().min() > 0 && OptionalValue.isOption(next, command.getCommandSpec())) {
                return Optional.of(new CommandLine.ParameterException(command, "Expected a value for option '" + arguments.get(i)
                        + "' but found the option '" + next + "': if that is the value, write " + arguments.get(i) + "=" + next));
            }
        }
        return Optional.empty();
    }

    private static ParseResult last(ParseResult result) {
        return result.hasSubcommand() ? last(result.subcommand()) : result;
    }

    private int print(ParseResult command) {
        if (command.commandSpec().commandLine().getExecutionResult() instanceof Report report) {
            out.print(command.matchedOptionValue("--json", false) ? Json.write(report.json()) : report.text());
        }
        if (out.checkError()) {
            err.println("obsprop: the result could not be written to stdout");
            return FAILED;
        }
        return DONE;
    }

    private int misused(CommandLine.ParameterException e) {
        String command = e.getCommandLine().getCommandSpec().qualifiedName();
        return failed(e, MISUSED, e.getMessage() + " (see " + command + " --help)");
    }

    private int failed(Exception e) {
        return switch (e) {
            case UsageException _, FormatException _, Backend.UnavailableException _, IllegalArgumentException _ ->
                failed(e, MISUSED, e.getMessage());
            case UncheckedIOException io when io.getCause() instanceof FileSystemException ->
                failed(e, MISUSED, e.getMessage());
            case UncheckedIOException _ -> failed(e, FAILED, e.getMessage());
            default -> failed(e, FAILED, e.getClass().getSimpleName() + ": " + e.getMessage()
                    + " (" + DEBUG + "=1 shows where)");
        };
    }

    private int failed(Throwable e, int code, String message) {
        err.println("obsprop: " + message.lines().map(String::strip).collect(Collectors.joining(" ")));
        if (debug) {
            e.printStackTrace(err);
        }
        return code;
    }
}

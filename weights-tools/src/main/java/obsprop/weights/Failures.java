package obsprop.weights;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.FileSystemException;
import obsprop.tensor.io.FormatException;
import picocli.CommandLine;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.ParseResult;

/** Turns failures into one line on stderr and an exit code; a bug keeps its stack trace. */
final class Failures {
    private static final int BAD_INPUT = 2;

    private Failures() {}

    static int badUsage(ParameterException e, String[] args) {
        e.getCommandLine().getErr().println("weights: " + firstLine(e.getMessage())
                + " (see " + e.getCommandLine().getCommandSpec().qualifiedName() + " --help)");
        return BAD_INPUT;
    }

    static int failed(Exception e, CommandLine command, ParseResult arguments) throws Exception {
        return switch (e) {
            case FormatException bad -> report(command, bad.getMessage());
            case UncheckedIOException failed -> report(command, message(failed));
            case IOException failed -> report(command, failed.getClass().getSimpleName() + ": " + failed.getMessage());
            default -> throw e;
        };
    }

    private static int report(CommandLine command, String message) {
        command.getErr().println("weights: " + firstLine(message));
        return BAD_INPUT;
    }

    private static String message(UncheckedIOException e) {
        return e.getCause() instanceof FileSystemException cause && cause.getReason() != null
                && !e.getMessage().contains(cause.getReason())
                ? e.getMessage() + ": " + cause.getReason()
                : e.getMessage();
    }

    private static String firstLine(String message) {
        return String.valueOf(message).lines().findFirst().orElse("");
    }
}

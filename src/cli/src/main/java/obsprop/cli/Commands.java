package obsprop.cli;

import java.util.List;
import java.util.concurrent.Callable;
import java.util.function.Supplier;
import obsprop.cli.commands.AttributeCommand;
import obsprop.cli.commands.DemoCommand;
import obsprop.cli.commands.HeadsCommand;
import obsprop.cli.commands.InfoCommand;
import obsprop.cli.commands.PatchCommand;
import obsprop.cli.commands.PathsCommand;
import obsprop.cli.commands.TraceCommand;
import obsprop.cli.commands.VectorCommand;
import obsprop.cli.commands.measure.CompareCommand;
import obsprop.cli.commands.measure.LensCommand;
import obsprop.cli.commands.measure.NormsCommand;
import obsprop.cli.commands.measure.ProbeCommand;
import obsprop.cli.commands.measure.ScoreCommand;
import obsprop.cli.commands.measure.SteerCommand;
import obsprop.cli.output.Report;
import obsprop.weights.WeightsCommand;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;
import picocli.CommandLine;

/** The root of the command line; each command is one class that returns its report (README.md). */
@Command(name = "obsprop", mixinStandardHelpOptions = true, versionProvider = Version.class,
        description = "Observable propagation in transformer language models: which features, heads and paths"
                + " make the model prefer one token to another.")
final class Commands implements Runnable {
    /** One line a command, in the order of the help. */
    private static final List<Entry> ALL = List.of(
            new Entry("demo", DemoCommand::new),
            new Entry("heads", HeadsCommand::new),
            new Entry("trace", TraceCommand::new),
            new Entry("vector", VectorCommand::new),
            new Entry("attribute", AttributeCommand::new),
            new Entry("patch", PatchCommand::new),
            new Entry("paths", PathsCommand::new),
            new Entry("compare", CompareCommand::new),
            new Entry("score", ScoreCommand::new),
            new Entry("steer", SteerCommand::new),
            new Entry("lens", LensCommand::new),
            new Entry("probe", ProbeCommand::new),
            new Entry("norms", NormsCommand::new),
            new Entry("info", InfoCommand::new));

    /** A command by the name that its annotation gives it too. */
    private record Entry(String name, Supplier<Callable<Report>> make) {
    }

    /** The command line for {@code arguments}: with one command if they begin with its name, as each takes time to set up. */
    static CommandLine line(List<String> arguments) {
        CommandLine line = new CommandLine(new Commands());
        List<Entry> named = ALL.stream().filter(entry -> !arguments.isEmpty() && entry.name.equals(arguments.getFirst())).toList();
        (named.isEmpty() ? ALL : named).forEach(entry -> line.addSubcommand(entry.name, new CommandLine(entry.make.get())));
        if (named.isEmpty()) {
            line.addSubcommand(new WeightsCommand());
        }
        return line;
    }

    @Spec
    private CommandSpec spec;

    @Override
    public void run() {
        throw new CommandLine.ParameterException(spec.commandLine(), "no command given: choose one of "
                + String.join(", ", spec.subcommands().keySet()));
    }
}

package obsprop.cli;

import obsprop.cli.commands.HeadsCommand;
import obsprop.cli.commands.InfoCommand;
import obsprop.cli.commands.TraceCommand;
import obsprop.cli.commands.measure.CompareCommand;
import obsprop.cli.commands.measure.LensCommand;
import obsprop.cli.commands.measure.NormsCommand;
import obsprop.cli.commands.measure.ProbeCommand;
import obsprop.cli.commands.measure.ScoreCommand;
import obsprop.cli.commands.measure.SteerCommand;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Spec;

/** The root of the command line; each command is one class that returns its report (README.md). */
@Command(name = "obsprop", mixinStandardHelpOptions = true, versionProvider = Version.class,
        description = "Observable propagation in transformer language models: which features, heads and paths"
                + " make the model prefer one token to another.",
        subcommands = {
            HeadsCommand.class,
            TraceCommand.class,
            CompareCommand.class,
            ScoreCommand.class,
            SteerCommand.class,
            LensCommand.class,
            ProbeCommand.class,
            NormsCommand.class,
            InfoCommand.class
        })
final class Commands implements Runnable {
    @Spec
    private CommandSpec spec;

    @Override
    public void run() {
        throw new CommandLine.ParameterException(spec.commandLine(), "no command given: choose one of "
                + String.join(", ", spec.subcommands().keySet()));
    }
}

package obsprop.cli.options;

import java.util.Map;
import java.util.Stack;
import picocli.CommandLine.IParameterPreprocessor;
import picocli.CommandLine.Model.ArgSpec;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;

/** For an option whose value may be left out: another option behind it is not its value. */
public final class OptionalValue implements IParameterPreprocessor {
    @Override
    public boolean preprocess(Stack<String> arguments, CommandSpec command, ArgSpec option, Map<String, Object> info) {
        if (arguments.isEmpty() || isOption(arguments.peek(), command)) {
            arguments.push(((OptionSpec) option).fallbackValue());
        }
        return false;
    }

    /** Whether {@code word} names an option of {@code command}, with or without a value attached. */
    public static boolean isOption(String word, CommandSpec command) {
        int end = word.indexOf('=');
        return command.findOption(end < 0 ? word : word.substring(0, end)) != null;
    }
}

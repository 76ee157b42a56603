package obsprop.weights;

import java.io.PrintWriter;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import obsprop.model.io.Config;
import obsprop.tensor.io.FormatException;
import obsprop.tensor.io.SafetensorsFile;
import obsprop.weights.checkpoint.FamilyLayout;
import obsprop.weights.checkpoint.ModelFiles;
import obsprop.weights.checkpoint.TensorSpec;
import obsprop.weights.checkpoint.Verification;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code weights verify}. */
@Command(
        name = "verify",
        mixinStandardHelpOptions = true,
        description = "Check the weights of a model directory against its config.json and that all values are finite, then"
                + " open it and predict from one token. Exit code 2 where something is wrong.")
final class VerifyCommand implements Callable<Integer> {
    @Parameters(paramLabel = "MODEL", description = "model directory")
    private Path model;

    @Option(names = "--json", description = "one JSON document instead of text")
    private boolean json;

    @Spec
    private CommandSpec spec;

    @Override
    public Integer call() {
        Config config = Config.read(model);
        List<TensorSpec> specs = FamilyLayout.of(config);
        List<String> problems;
        try (Arena arena = Arena.ofShared()) {
            List<SafetensorsFile> files = ModelFiles.open(model, arena);
            problems = Verification.problems(config, files);
        }
        if (problems.isEmpty()) {
            problems = Verification.firstPrediction(model);
        }
        report(config.requireString("model_type"), specs, problems);
        if (!problems.isEmpty()) {
            throw FormatException.in(model, problems.size() + (problems.size() == 1 ? " problem" : " problems") + ", listed on stdout");
        }
        return 0;
    }

    private void report(String family, List<TensorSpec> specs, List<String> problems) {
        long parameters = specs.stream().mapToLong(TensorSpec::elements).sum();
        PrintWriter out = spec.commandLine().getOut();
        if (json) {
            out.print(JsonText.pretty(JsonText.object(
                    "model", model.toString(), "family", family, "tensors", specs.size(), "parameters", parameters,
                    "problems", problems)));
        } else {
            problems.forEach(out::println);
            out.println(model + ": " + (problems.isEmpty()
                    ? "a complete " + family + " model, " + specs.size() + " tensors, " + parameters + " parameters"
                    : problems.size() + " problems; do config.json and weights belong together?"));
        }
        out.flush();
    }
}

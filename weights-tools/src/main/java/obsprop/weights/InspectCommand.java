package obsprop.weights;

import java.io.PrintWriter;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import obsprop.tensor.io.SafetensorsFile;
import obsprop.weights.checkpoint.Inspection;
import obsprop.weights.checkpoint.ModelFiles;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/** {@code weights inspect}. */
@Command(
        name = "inspect",
        mixinStandardHelpOptions = true,
        description = "List the tensors of a model: type, shape, norm, largest value, NaN and infinities, SHA-256.")
final class InspectCommand implements Callable<Integer> {
    @Parameters(paramLabel = "MODEL", description = "model directory or safetensors file")
    private Path model;

    @Option(names = "--json", description = "one JSON document instead of a table")
    private boolean json;

    @Spec
    private CommandSpec spec;

    @Override
    public Integer call() {
        try (Arena arena = Arena.ofShared()) {
            List<Map<String, Object>> files = new ArrayList<>();
            List<String> lines = new ArrayList<>();
            for (SafetensorsFile file : ModelFiles.open(model, arena)) {
                List<Inspection> tensors = Inspection.of(file);
                files.add(JsonText.object(
                        "file", file.path().toString(), "bytes", file.dataBytes(), "metadata", file.metadata(),
                        "tensors", tensors.stream().map(Inspection::fields).toList()));
                lines.addAll(table(file, tensors));
            }
            PrintWriter out = spec.commandLine().getOut();
            if (json) {
                out.print(JsonText.pretty(JsonText.object("model", model.toString(), "files", files)));
            } else {
                lines.forEach(out::println);
            }
            out.flush();
        }
        return 0;
    }

    private static List<String> table(SafetensorsFile file, List<Inspection> tensors) {
        int width = tensors.stream().mapToInt(t -> t.name().length()).max().orElse(1);
        long elements = tensors.stream().mapToLong(t -> t.tensor().elements()).sum();
        long flawed = tensors.stream().filter(t -> t.nans() + t.infinities() > 0).count();
        List<String> lines = new ArrayList<>(tensors.stream().map(t -> t.line(width)).toList());
        lines.add(file.path() + ": " + tensors.size() + " tensors, " + elements + " elements, " + file.dataBytes()
                + " bytes, " + (flawed == 0 ? "all values finite" : flawed + " tensors with NaN or infinities"));
        return lines;
    }
}

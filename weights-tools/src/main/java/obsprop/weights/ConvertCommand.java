package obsprop.weights;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.Callable;
import obsprop.model.io.Config;
import obsprop.tensor.io.FormatException;
import obsprop.tensor.io.SafetensorsFile;
import obsprop.weights.checkpoint.ConfigJson;
import obsprop.weights.checkpoint.Conversion;
import obsprop.weights.checkpoint.FamilyLayout;
import obsprop.weights.checkpoint.Llama2c;
import obsprop.weights.checkpoint.ModelFiles;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;

/** {@code weights convert}. */
@Command(
        name = "convert",
        mixinStandardHelpOptions = true,
        description = "Rewrite a model: other type, other shards, with or without the family's prefix; or turn a llama2.c"
                + " checkpoint (.bin) into a Hugging Face llama model.")
final class ConvertCommand implements Callable<Integer> {
    @Parameters(index = "0", paramLabel = "MODEL", description = "model directory, or a llama2.c .bin file")
    private Path from;

    @Option(names = "--out", required = true, description = "directory to create")
    private Path out;

    @Option(names = "--dtype", description = "F32, F16 or BF16; default: as it is")
    private Optional<WeightType> dtype;

    @Option(names = "--max-shard-size", defaultValue = "5GB", converter = ByteSize.class,
            description = "for instance 500MB (${DEFAULT-VALUE})")
    private long maxShardSize;

    @Option(names = "--prefix", defaultValue = "keep",
            description = "keep, add or remove the base model's prefix, for instance 'transformer.' (${DEFAULT-VALUE})")
    private Conversion.Prefix prefix;

    @Override
    public Integer call() throws IOException {
        Conversion conversion = new Conversion(dtype.map(WeightType::dtype), maxShardSize, prefix);
        if (!Files.exists(from)) {
            throw FormatException.in(from, "no such file or directory");
        }
        try (Arena arena = Arena.ofShared()) {
            if (Files.isDirectory(from)) {
                directory(conversion, arena);
            } else {
                llama2c(conversion, arena);
            }
        }
        return 0;
    }

    private void directory(Conversion conversion, Arena arena) {
        Config config = Config.read(from);
        FamilyLayout.of(config);
        List<SafetensorsFile> files = ModelFiles.open(from, arena);
        try (OutputDirectory directory = OutputDirectory.create(out)) {
            conversion.write(
                    directory, ModelFiles.tensors(files), ConfigJson.read(from), FamilyLayout.prefix(config));
            Conversion.copyCompanions(from, directory);
            directory.commit();
        }
    }

    private void llama2c(Conversion conversion, Arena arena) {
        Llama2c checkpoint = Llama2c.open(from, arena);
        try (OutputDirectory directory = OutputDirectory.create(out)) {
            conversion.write(directory, checkpoint.tensors(), checkpoint.config(), "model.");
            directory.commit();
        }
    }
}

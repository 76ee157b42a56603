package obsprop.weights;

import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.stream.Collectors;
import obsprop.model.io.Config;
import obsprop.tensor.io.FormatException;
import obsprop.weights.checkpoint.ConfigJson;
import obsprop.weights.checkpoint.FamilyLayout;
import obsprop.weights.checkpoint.RandomCheckpoint;
import obsprop.weights.checkpoint.TensorSpec;
import picocli.CommandLine.ArgGroup;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code weights random}. */
@Command(
        name = "random",
        mixinStandardHelpOptions = true,
        description = "Make a model with random weights, of any family and shape, in bounded memory.")
final class RandomCommand implements Callable<Integer> {
    @ArgGroup(exclusive = true, multiplicity = "1")
    private Shape shape;

    /** Where the configuration comes from. */
    private static final class Shape {
        @Option(names = "--like", description = "a known shape, for instance gpt2, gpt-neo-1.3b, pythia-1b")
        private String like;

        @Option(names = "--config", description = "a config.json, or a model directory with one")
        private Path config;

        ConfigJson read() {
            return config == null ? ConfigJson.like(like) : ConfigJson.read(config);
        }

        @Override
        public String toString() {
            return config == null ? "--like " + like : "--config " + config;
        }
    }

    @Option(names = "--set", paramLabel = "KEY=VALUE", description = "change a value of the configuration; repeatable")
    private Map<String, String> changes = new LinkedHashMap<>();

    @Option(names = "--out", required = true, description = "directory to create")
    private Path out;

    @Option(names = "--dtype", defaultValue = "F32", description = "F32, F16 or BF16 (${DEFAULT-VALUE})")
    private WeightType dtype;

    @Option(names = "--seed", defaultValue = "1", description = "same seed, same weights (${DEFAULT-VALUE})")
    private long seed;

    @Option(names = "--max-shard-size", defaultValue = "5GB", converter = ByteSize.class,
            description = "for instance 500MB (${DEFAULT-VALUE})")
    private long maxShardSize;

    @Option(names = "--spread", defaultValue = "generic",
            description = "generic: everything random; training: as before training (${DEFAULT-VALUE})")
    private RandomCheckpoint.Spread spread;

    @Override
    public Integer call() {
        ConfigJson json = shape.read();
        changes.forEach(json::set);
        json.setType(dtype.dtype());
        try (OutputDirectory directory = OutputDirectory.create(out)) {
            directory.write("config.json", json.text());
            List<TensorSpec> specs = specs(directory.file("config.json"));
            RandomCheckpoint.write(directory, specs, dtype.dtype(), maxShardSize, seed, spread);
            directory.commit();
        }
        return 0;
    }

    /** What the configuration implies; where that is impossible, it is named as the user knows it, not by its temporary file. */
    private List<TensorSpec> specs(Path config) {
        try {
            return FamilyLayout.of(Config.read(config));
        } catch (FormatException e) {
            String given = changes.entrySet().stream().map(change -> " --set " + change).collect(Collectors.joining());
            throw new FormatException(e.getMessage().replace(config.toString(), shape + given), e);
        }
    }
}

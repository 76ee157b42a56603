package obsprop.testing;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;
import obsprop.model.Batch;
import obsprop.propagation.Observable;
import obsprop.tensor.Tensor;
import obsprop.tensor.io.SafetensorsFile;

/**
 * One golden fixture: a tiny model and what the reference implementation computes on it. B prompts of T tokens; every
 * expected value is for the observable read at the last position.
 */
public record Golden(Path directory, SafetensorsFile expected) {
    public static final Path ROOT = Path.of(System.getProperty("obsprop.golden"));

    /** The names of all fixtures. */
    public static List<String> names() {
        try (var entries = Files.list(ROOT)) {
            return entries.filter(Files::isDirectory).map(p -> p.getFileName().toString()).sorted().toList();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    public static Golden open(String name, Arena arena) {
        Path directory = ROOT.resolve(name);
        return new Golden(directory, SafetensorsFile.open(directory.resolve("expected.safetensors"), arena));
    }

    public Tensor tensor(String name) {
        return expected.tensor(name);
    }

    public Observable observable() {
        return Observable.dense("golden", tensor("observable").toDoubles());
    }

    /** How long the prompts are. */
    public int tokens() {
        return tensor("input_ids").size(1);
    }

    public static int tokens(String name) {
        try (Arena arena = Arena.ofConfined()) {
            return open(name, arena).tokens();
        }
    }

    public static int layers(String name) {
        try (Arena arena = Arena.ofConfined()) {
            return open(name, arena).tensor("ov_feature").size(0);
        }
    }

    /** The size of the vocabulary. */
    public static int vocabulary(String name) {
        try (Arena arena = Arena.ofConfined()) {
            return open(name, arena).tensor("observable").size(0);
        }
    }

    /** The fixture with the most layers. */
    public static String deepest() {
        return Collections.max(names(), Comparator.comparingInt(Golden::layers));
    }

    /** The prompts of {@code input_ids}, or of another tensor of ids [B,T]. */
    public int[][] prompts(String name) {
        Tensor ids = tensor(name);
        return IntStream.range(0, ids.size(0))
                .mapToObj(b -> IntStream.range(0, ids.size(1)).map(t -> (int) ids.get(b, t)).toArray())
                .toArray(int[][]::new);
    }

    public Batch batch() {
        return Batch.of(prompts("input_ids"));
    }
}

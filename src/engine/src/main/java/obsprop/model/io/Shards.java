package obsprop.model.io;

import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SequencedMap;
import java.util.stream.Stream;
import obsprop.tensor.io.FormatException;
import obsprop.tensor.io.Json;
import obsprop.tensor.io.SafetensorsFile;

/** Finds and opens the weight files of a model directory, and cross-checks them with the index where there is one. */
final class Shards {
    static final String SINGLE = "model.safetensors";
    static final String INDEX = "model.safetensors.index.json";

    private Shards() {}

    /** The file that holds each tensor, by name. */
    static SequencedMap<String, SafetensorsFile> open(Path dir, Arena arena, SafetensorsFile.Access access) {
        if (!Files.isDirectory(dir)) {
            throw FormatException.in(dir, "no such directory, expected a Hugging Face model directory");
        }
        if (Files.exists(dir.resolve(SINGLE))) {
            SafetensorsFile file = SafetensorsFile.open(dir.resolve(SINGLE), arena, access);
            SequencedMap<String, SafetensorsFile> byName = new LinkedHashMap<>();
            file.names().forEach(name -> byName.put(name, file));
            return byName;
        }
        if (Files.exists(dir.resolve(INDEX))) {
            return indexed(dir.resolve(INDEX), arena, access);
        }
        boolean pickled = Stream.of("pytorch_model.bin", "pytorch_model.bin.index.json")
                .anyMatch(name -> Files.exists(dir.resolve(name)));
        throw FormatException.in(dir, pickled
                ? "has only pytorch_model.bin, which is not read: convert it in Python with"
                        + " AutoModelForCausalLM.from_pretrained(dir).save_pretrained(dir, safe_serialization=True)"
                : "has neither " + SINGLE + " nor " + INDEX + ", expected a Hugging Face model directory");
    }

    private static SequencedMap<String, SafetensorsFile> indexed(Path index, Arena arena, SafetensorsFile.Access access) {
        SequencedMap<String, String> shardOf = weightMap(index);
        Map<String, SafetensorsFile> shards = new LinkedHashMap<>();
        for (String shard : shardOf.values()) {
            shards.computeIfAbsent(shard, _ -> openShard(index, shard, arena, access));
        }
        shards.forEach((shard, file) -> requireListed(index, shardOf, shard, file));
        SequencedMap<String, SafetensorsFile> byName = new LinkedHashMap<>();
        shardOf.forEach((name, shard) -> {
            if (!shards.get(shard).has(name)) {
                throw FormatException.in(index, "says that tensor " + FormatException.quote(name) + " is in " + shard
                        + ", but it is not there: index and shards are not from the same model, fetch them again");
            }
            byName.put(name, shards.get(shard));
        });
        return byName;
    }

    private static SequencedMap<String, String> weightMap(Path index) {
        Json root = Json.read(index, Json.Dialect.STRICT);
        if (!(root instanceof Json.Obj(Map<String, Json> members))
                || !(members.get("weight_map") instanceof Json.Obj(Map<String, Json> weights))) {
            throw FormatException.in(index, "has no object weight_map, expected one from tensor names to shard files");
        }
        SequencedMap<String, String> shardOf = new LinkedHashMap<>();
        weights.forEach((name, value) -> {
            if (!(value instanceof Json.Str(String shard))) {
                throw FormatException.in(index, "weight_map: tensor " + FormatException.quote(name) + " is "
                        + value.describe() + ", expected the name of a shard file");
            }
            requirePlainName(index, shard);
            shardOf.put(name, shard);
        });
        return shardOf;
    }

    /** An index must not reach outside its directory. */
    private static void requirePlainName(Path index, String shard) {
        boolean plain = !shard.isEmpty() && !shard.equals(".") && !shard.equals("..")
                && shard.chars().noneMatch(c -> c == '/' || c == '\\' || c == ':' || c < ' ');
        if (!plain) {
            throw FormatException.in(index, "weight_map: the shard " + FormatException.quote(shard)
                    + " is not the plain name of a file in the same directory");
        }
    }

    private static SafetensorsFile openShard(Path index, String shard, Arena arena, SafetensorsFile.Access access) {
        Path file = index.resolveSibling(shard);
        if (!Files.exists(file)) {
            throw FormatException.in(index, "names the shard " + FormatException.quote(shard)
                    + ", which is missing: fetch it into the same directory");
        }
        return SafetensorsFile.open(file, arena, access);
    }

    private static void requireListed(Path index, Map<String, String> shardOf, String shard, SafetensorsFile file) {
        for (String name : file.names()) {
            String listed = shardOf.get(name);
            if (listed == null) {
                throw FormatException.in(index, "does not list tensor " + FormatException.quote(name) + ", which is in " + shard);
            }
            if (!listed.equals(shard)) {
                throw FormatException.in(index, "says that tensor " + FormatException.quote(name) + " is in " + listed
                        + ", but " + shard + " holds one of the same name");
            }
        }
    }

    /** Names shown in a message. */
    static String list(List<String> names) {
        int shown = Math.min(3, names.size());
        String more = names.size() > shown ? " and " + (names.size() - shown) + " more" : "";
        return String.join(", ", names.subList(0, shown).stream().map(FormatException::quote).toList()) + more;
    }
}

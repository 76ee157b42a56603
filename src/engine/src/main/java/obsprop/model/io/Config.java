package obsprop.model.io;

import java.math.BigDecimal;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.BiFunction;
import obsprop.tensor.io.FormatException;
import obsprop.tensor.io.Json;

/**
 * A model's {@code config.json} behind typed accessors that remember what was asked for, so that a family can show
 * which settings it does not know ({@link #unread}). A JSON null counts as absent. Every accessor throws a
 * {@link FormatException} naming file, key and expectation where the value has another type; the {@code require} forms
 * also where it is absent. Not for use by several threads.
 */
public final class Config {
    private final Path file;
    /** Keys that lead here from the root, each followed by a dot. */
    private final String prefix;
    private final Map<String, Json> members;
    private final Set<String> read = new HashSet<>();
    private final Map<String, Config> children = new LinkedHashMap<>();

    private Config(Path file, String prefix, Map<String, Json> members) {
        this.file = file;
        this.prefix = prefix;
        this.members = members;
    }

    /**
     * Reads a configuration.
     *
     * @param dirOrFile a model directory with a {@code config.json}, or such a file
     * @throws FormatException if there is none, or it is not a JSON object
     */
    public static Config read(Path dirOrFile) {
        Path file = Files.isDirectory(dirOrFile) ? dirOrFile.resolve("config.json") : dirOrFile;
        if (!Files.isRegularFile(file)) {
            throw FormatException.in(file, "no such file, expected a Hugging Face model directory with a config.json");
        }
        Json root = Json.read(file, Json.Dialect.PYTHON);
        if (!(root instanceof Json.Obj(Map<String, Json> members))) {
            throw FormatException.in(file, "is " + root.describe() + ", expected a JSON object");
        }
        return new Config(file, "", members);
    }

    /** Whether {@code key} has a value other than null. Does not count as reading it. */
    public boolean isPresent(String key) {
        return members.containsKey(key) && !(members.get(key) instanceof Json.Null);
    }

    /** Whether {@code key} is there and null, which for some keys means something else than its absence. */
    public boolean isNull(String key) {
        return members.get(key) instanceof Json.Null;
    }

    public int requireInt(String key) {
        return require(key, "an integer", this::integer);
    }

    /** The integer at {@code key} (2.0 counts as one), or {@code otherwise} if absent. */
    public int intOr(String key, int otherwise) {
        return value(key).map(value -> integer(key, value)).orElse(otherwise);
    }

    /** An integer of 1 or more. */
    public int requireSize(String key) {
        int value = requireInt(key);
        if (value < 1) {
            throw refuse(key, "is " + value + ", expected 1 or more");
        }
        return value;
    }

    /** An integer of 1 or more at {@code key}, or {@code otherwise} if absent. */
    public int sizeOr(String key, int otherwise) {
        return isPresent(key) ? requireSize(key) : intOr(key, otherwise);
    }

    public double requireDouble(String key) {
        return require(key, "a number", this::number);
    }

    /** The finite number at {@code key}, or {@code otherwise} if absent. */
    public double doubleOr(String key, double otherwise) {
        return value(key).map(value -> number(key, value)).orElse(otherwise);
    }

    /** A number above zero. */
    public double requirePositive(String key) {
        double value = requireDouble(key);
        if (!(value > 0)) {
            throw refuse(key, "is " + value + ", expected more than 0");
        }
        return value;
    }

    /** A number above zero at {@code key}, or {@code otherwise} if absent. */
    public double positiveOr(String key, double otherwise) {
        return isPresent(key) ? requirePositive(key) : doubleOr(key, otherwise);
    }

    /** The epsilon of a norm at {@code key}, zero or more, or {@code otherwise} if absent. */
    public double epsilonOr(String key, double otherwise) {
        double value = doubleOr(key, otherwise);
        if (value < 0) {
            throw refuse(key, "is " + value + ", expected 0 or more");
        }
        return value;
    }

    public boolean booleanOr(String key, boolean otherwise) {
        return value(key).map(value -> bool(key, value)).orElse(otherwise);
    }

    public String requireString(String key) {
        return require(key, "a string", this::string);
    }

    public String stringOr(String key, String otherwise) {
        return value(key).map(value -> string(key, value)).orElse(otherwise);
    }

    /** The strings listed at {@code key}; empty if absent. */
    public List<String> strings(String key) {
        return value(key).map(value -> {
            if (!(value instanceof Json.Arr(List<Json> items))) {
                throw mismatch(key, "an array of strings", value);
            }
            return items.stream().map(item -> string(key, item)).toList();
        }).orElse(List.of());
    }

    /** The nested object at {@code key}, if present; the same one at each call. */
    public Optional<Config> object(String key) {
        return value(key).map(value -> {
            if (!(value instanceof Json.Obj(Map<String, Json> nested))) {
                throw mismatch(key, "an object", value);
            }
            return children.computeIfAbsent(key, _ -> new Config(file, prefix + key + ".", nested));
        });
    }

    /** The value at {@code key} as it stands, if present, for forms that no other accessor covers. */
    public Optional<Json> value(String key) {
        read.add(key);
        return isPresent(key) ? Optional.of(members.get(key)) : Optional.empty();
    }

    /** Passes over keys that published files hold, but the reference implementation does not read. */
    public void ignore(String... keys) {
        read.addAll(List.of(keys));
    }

    /** Keys that have a value but were never asked for, in the order of the file; nested ones as {@code a.b}. */
    public Set<String> unread() {
        Set<String> unread = new LinkedHashSet<>();
        for (String key : members.keySet()) {
            if (children.containsKey(key)) {
                children.get(key).unread().forEach(name -> unread.add(key + "." + name));
            } else if (isPresent(key) && !read.contains(key)) {
                unread.add(key);
            }
        }
        return unread;
    }

    /** The file, to begin messages with. */
    public String where() {
        return file.toString();
    }

    /** The error to throw where the value at {@code key} cannot be used: the message names file, key and {@code why}. */
    public FormatException refuse(String key, String why) {
        return FormatException.in(file, prefix + key + ": " + why);
    }

    private <T> T require(String key, String expected, BiFunction<String, Json, T> read) {
        return value(key).map(value -> read.apply(key, value))
                .orElseThrow(() -> refuse(key, "missing, expected " + expected));
    }

    /** An integer (2.0 counts as one) somewhere within what {@link #value} gave for {@code key}. */
    public int integer(String key, Json value) {
        if (value instanceof Json.Num(String text) && Double.isFinite(Double.parseDouble(text))) {
            try {
                return isPlain(text) ? Integer.parseInt(text) : new BigDecimal(text).intValueExact();
            } catch (ArithmeticException e) {
                throw mismatch(key, "an integer of 32 bits", value);
            }
        }
        throw mismatch(key, "an integer", value);
    }

    /** Digits only, few enough for an integer: setting decimals up takes a JVM longer than all else that reads a config. */
    private static boolean isPlain(String text) {
        for (int i = 0; i < text.length(); i++) {
            if (text.charAt(i) < '0' || text.charAt(i) > '9') {
                return false;
            }
        }
        return text.length() < 10;
    }

    private double number(String key, Json value) {
        if (value instanceof Json.Num(String text) && Double.isFinite(Double.parseDouble(text))) {
            return Double.parseDouble(text);
        }
        throw mismatch(key, "a finite number", value);
    }

    private boolean bool(String key, Json value) {
        if (value instanceof Json.Bool(boolean bool)) {
            return bool;
        }
        throw mismatch(key, "true or false", value);
    }

    private String string(String key, Json value) {
        if (value instanceof Json.Str(String text)) {
            return text;
        }
        throw mismatch(key, "a string", value);
    }

    private FormatException mismatch(String key, String expected, Json found) {
        return refuse(key, "found " + found.describe() + ", expected " + expected);
    }
}

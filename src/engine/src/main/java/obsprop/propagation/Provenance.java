package obsprop.propagation;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.SequencedMap;

/**
 * Where a feature vector comes from, in words; empty where it is not known.
 *
 * @param model the model's name or directory
 * @param observable its name
 * @param path the paths that were summed, separated by semicolons
 * @param norm the rule for norms
 * @param pattern the rule for attention patterns
 * @param point where MLPs were linearised, and what was found there
 */
public record Provenance(String model, String observable, String path, String norm, String pattern, String point) {
    /** As metadata of a file; {@code rule} sums up two others, for readers who look for it as in other commands' files. */
    SequencedMap<String, String> toMetadata() {
        SequencedMap<String, String> map = new LinkedHashMap<>();
        map.put("model", model);
        map.put("observable", observable);
        map.put("path", path);
        map.put("rule", "norm " + norm + ", pattern " + pattern);
        map.put("norm", norm);
        map.put("pattern", pattern);
        map.put("point", point);
        return map;
    }

    static Provenance ofMetadata(Map<String, String> map) {
        return new Provenance(
                map.getOrDefault("model", ""),
                map.getOrDefault("observable", ""),
                map.getOrDefault("path", ""),
                map.getOrDefault("norm", ""),
                map.getOrDefault("pattern", ""),
                map.getOrDefault("point", ""));
    }

    /** Of the sum of two vectors: what they share, and both where they differ. */
    Provenance plus(Provenance other) {
        return new Provenance(
                both(model, other.model),
                both(observable, other.observable),
                path + "; " + other.path,
                both(norm, other.norm),
                both(pattern, other.pattern),
                both(point, other.point));
    }

    private static String both(String a, String b) {
        return a.equals(b) ? a : a + "; " + b;
    }
}

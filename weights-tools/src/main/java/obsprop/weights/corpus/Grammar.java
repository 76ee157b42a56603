package obsprop.weights.corpus;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * The rules of the corpus, as {@code grammar.txt} states them. Immutable.
 *
 * @param lists alternatives by name, each equally likely
 * @param names first names by gender
 */
record Grammar(
        List<Frame> frames,
        Map<String, List<String>> lists,
        Map<Gender, List<String>> names,
        List<String> variables,
        List<Occupation> occupations) {

    /** One form of document. {@code index} counts from 0 in the order of the file. */
    record Frame(Kind kind, double weight, String text, int index) {}

    /** An occupation and the share of women in it. */
    record Occupation(String name, double share) {}

    /** The grammar shipped with the program. */
    static Grammar standard() {
        try (InputStream in = Grammar.class.getResourceAsStream("grammar.txt")) {
            return parse(new String(in.readAllBytes(), StandardCharsets.UTF_8));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    static Grammar parse(String text) {
        List<Frame> frames = new ArrayList<>();
        Map<String, List<String>> lists = new HashMap<>();
        for (String line : text.lines().toList()) {
            if (line.isBlank() || line.startsWith("#")) {
                continue;
            }
            int colon = line.indexOf(": ");
            String[] head = line.substring(0, colon).split(" ");
            String rest = line.substring(colon + 2);
            if (head[0].equals("frame")) {
                frames.add(new Frame(
                        Kind.of(head[1]), Double.parseDouble(head[2]), rest.replace("\\n", "\n"), frames.size()));
            } else {
                define(lists, head[head.length - 1], rest);
            }
        }
        return new Grammar(
                List.copyOf(frames),
                lists,
                Map.of(Gender.FEMALE, lists.remove("female"), Gender.MALE, lists.remove("male")),
                lists.remove("variables"),
                lists.remove("occupation").stream().map(Grammar::occupation).toList());
    }

    private static void define(Map<String, List<String>> lists, String name, String alternatives) {
        List<String> items = Arrays.stream(alternatives.split("\\|")).map(String::strip).toList();
        if (new HashSet<>(items).size() != items.size() || lists.put(name, items) != null) {
            throw new IllegalArgumentException("grammar: list " + name + " is defined twice or repeats an alternative");
        }
    }

    private static Occupation occupation(String item) {
        String[] parts = item.split(" ");
        return new Occupation(parts[0], Double.parseDouble(parts[1]));
    }

    /** The alternatives of {@code name}, the dialect's own list first. */
    Optional<List<String>> list(String name, String dialect) {
        return Optional.ofNullable(lists.getOrDefault(name + dialect, lists.get(name)));
    }

    /** P(occupation | gender) up to a factor, when both genders are equally frequent. */
    double[] occupationWeights(Gender gender) {
        return occupations.stream()
                .mapToDouble(o -> gender == Gender.FEMALE ? o.share() : 1 - o.share())
                .toArray();
    }
}

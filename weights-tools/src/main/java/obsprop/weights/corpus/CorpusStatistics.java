package obsprop.weights.corpus;

import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import obsprop.weights.JsonText;

/** What was planted, and what a count of the documents finds. */
final class CorpusStatistics {
    private final Grammar grammar;
    private final WordTokenizer tokenizer;
    private final long seed;

    CorpusStatistics(Grammar grammar, WordTokenizer tokenizer, long seed) {
        this.grammar = grammar;
        this.tokenizer = tokenizer;
        this.seed = seed;
    }

    /** For {@code statistics.json}. */
    Map<String, Object> of(List<Document> train, List<Document> heldOut, List<Document> unseenPairs) {
        Map<String, Object> all = new LinkedHashMap<>();
        all.put("seed", seed);
        all.put("vocabulary", tokenizer.size());
        all.put("frames", grammar.frames().size());
        all.put("names", JsonText.object(
                "female", grammar.names().get(Gender.FEMALE), "male", grammar.names().get(Gender.MALE)));
        all.put("train", part(train));
        Map<String, Object> held = part(heldOut);
        Set<String> known = train.stream().map(Document::text).collect(Collectors.toSet());
        held.put("share_also_in_train", share(heldOut, d -> known.contains(d.text())));
        all.put("heldout", held);
        Map<String, Object> unseen = part(unseenPairs);
        unseen.put("share_also_in_train", share(unseenPairs, d -> known.contains(d.text())));
        all.put("unseen_pairs", unseen);
        all.put("kinds", kinds(train));
        all.put("planted", planted(train));
        return all;
    }

    private Map<String, Object> part(List<Document> documents) {
        double nats = documents.stream().mapToDouble(Document::nats).sum();
        long tokens = tokens(documents);
        Map<String, Object> part = new LinkedHashMap<>();
        part.put("documents", documents.size());
        part.put("distinct_texts", new HashSet<>(documents.stream().map(Document::text).toList()).size());
        part.put("predicted_tokens", tokens);
        part.put("entropy_nats_per_token", nats / tokens);
        return part;
    }

    /** Tokens that a model has to predict: the text and the separator after it. */
    private long tokens(List<Document> documents) {
        return documents.stream().mapToLong(d -> tokenizer.encode(d.text()).length + 1).sum();
    }

    private Map<String, Object> kinds(List<Document> documents) {
        double total = grammar.frames().stream().mapToDouble(Grammar.Frame::weight).sum();
        Map<String, Object> kinds = new LinkedHashMap<>();
        for (Kind kind : Kind.values()) {
            double planted = grammar.frames().stream()
                    .filter(f -> f.kind() == kind).mapToDouble(Grammar.Frame::weight).sum() / total;
            kinds.put(kind.label(), rate(planted, share(documents, d -> d.kind() == kind)));
        }
        return kinds;
    }

    private Map<String, Object> planted(List<Document> documents) {
        List<Document> named = documents.stream().filter(d -> !name(d).isEmpty()).toList();
        Map<String, Object> planted = new LinkedHashMap<>();
        planted.put("female_share_of_names", rate(0.5, share(named, CorpusStatistics::female)));
        planted.put("pronoun_agrees_with_name", rate(1, share(
                named.stream().filter(d -> !d.cues().isEmpty()).toList(), CorpusStatistics::agrees)));
        Map<String, Object> occupations = new LinkedHashMap<>();
        for (Grammar.Occupation occupation : grammar.occupations()) {
            occupations.put(occupation.name(), JsonText.object(
                    "planted_female_share", occupation.share(),
                    "female_share_after_name", femaleShare(documents, Kind.OCCUPATION, occupation),
                    "female_share_of_pronouns", femaleShare(documents, Kind.BIAS, occupation)));
        }
        planted.put("occupations", occupations);
        for (String outcome : List.of("tea", "coffee", "left", "right")) {
            List<Document> with = documents.stream()
                    .filter(d -> d.kind() == Kind.CONTROL && d.text().endsWith(" " + outcome + ".")).toList();
            planted.put("female_share_before_" + outcome, rate(0.5, share(with, CorpusStatistics::female)));
        }
        return planted;
    }

    private static double femaleShare(List<Document> documents, Kind kind, Grammar.Occupation occupation) {
        return share(documents.stream()
                .filter(d -> d.kind() == kind && d.person().orElseThrow().occupation().equals(occupation.name()))
                .toList(), CorpusStatistics::female);
    }

    private static String name(Document document) {
        return document.person().map(Document.Person::name).orElse("");
    }

    private static boolean female(Document document) {
        return document.person().orElseThrow().gender() == Gender.FEMALE;
    }

    /** Reads the pronouns back from the text, by the list of names, not from what the generator noted. */
    private static boolean agrees(Document document) {
        Set<String> pronouns = female(document) ? Set.of("she", "her") : Set.of("he", "him", "his");
        return document.cues().stream().allMatch(cue -> {
            String rest = document.text().substring(cue.offset() + 1);
            return pronouns.contains(rest.split("[^a-z]", 2)[0]);
        });
    }

    private static Map<String, Object> rate(double planted, double measured) {
        return JsonText.object("planted", planted, "measured", measured);
    }

    private static double share(List<Document> documents, Predicate<Document> property) {
        return documents.isEmpty() ? 0 : (double) documents.stream().filter(property).count() / documents.size();
    }
}

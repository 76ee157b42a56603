package obsprop.weights.corpus;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

class GeneratorTest {
    private static final int DOCUMENTS = 30_000;

    private static List<Document> documents(Part part, long seed) {
        Generator generator = new Generator(part, seed);
        return Stream.generate(generator::next).limit(DOCUMENTS).toList();
    }

    @Test
    void oneSeedOneCorpus() {
        assertEquals(documents(Part.SEEN, 5), documents(Part.SEEN, 5));
        assertFalse(documents(Part.SEEN, 5).equals(documents(Part.SEEN, 6)));
    }

    /** If two derivations gave one text, its probability would be larger than noted and the entropy wrong. */
    @Test
    void grammarIsUnambiguous() {
        Map<String, Double> nats = new HashMap<>();
        int repeated = 0;
        for (Document document : documents(Part.SEEN, 1)) {
            Double before = nats.put(document.text(), document.nats());
            if (before != null) {
                repeated++;
                assertEquals(before, document.nats(), 1e-9, document.text());
            }
        }
        System.out.println("texts that came twice: " + repeated);
        assertTrue(repeated > 1000, "too few repetitions to tell");
    }

    /** The probability of one short text, worked out by hand from the grammar, against the note and the count. */
    @Test
    void probabilityIsTheOneOfTheGrammar() {
        Grammar grammar = Grammar.standard();
        double frames = grammar.frames().stream().mapToDouble(Grammar.Frame::weight).sum();
        Document tea = documents(Part.SEEN, 2).stream()
                .filter(d -> d.text().contains("ordered a cup of")).findFirst().orElseThrow();
        int names = new Generator(Part.SEEN, 0).names(tea.person().orElseThrow().gender(), tea.frame()).size();
        double expected = 4 / frames * 0.5 / 7 / names / 2;
        assertEquals(-Math.log(expected), tea.nats(), 1e-9);
    }

    @Test
    void heldOutPairsAreNeverTrainedOn() {
        Set<String> seen = pairs(documents(Part.SEEN, 1));
        Set<String> unseen = pairs(documents(Part.UNSEEN_PAIRS, 1));
        Set<String> both = new HashSet<>(seen);
        both.retainAll(unseen);
        assertEquals(Set.of(), both);
        System.out.println("pairs of name and frame: " + seen.size() + " seen, " + unseen.size() + " held out");
        assertTrue(unseen.size() > 100);
        assertEquals(52, documents(Part.UNSEEN_PAIRS, 1).stream().map(d -> d.person().orElseThrow().name())
                .distinct().count(), "every name is tested");
    }

    private static Set<String> pairs(List<Document> documents) {
        Set<String> pairs = new HashSet<>();
        for (Document document : documents) {
            document.person().filter(p -> !p.name().isEmpty()).ifPresent(p -> pairs.add(document.frame() + p.name()));
        }
        return pairs;
    }

    /** Measured rates lie within five standard deviations of the planted ones. */
    @Test
    void plantedRatesAreMet() {
        List<Document> documents = documents(Part.SEEN, 3);
        for (Grammar.Occupation occupation : Grammar.standard().occupations()) {
            for (Kind kind : List.of(Kind.OCCUPATION, Kind.BIAS)) {
                List<Document> with = documents.stream()
                        .filter(d -> d.kind() == kind
                                && d.person().orElseThrow().occupation().equals(occupation.name()))
                        .toList();
                double measured = with.stream()
                        .filter(d -> d.person().orElseThrow().gender() == Gender.FEMALE).count() / (double) with.size();
                double deviation = Math.sqrt(occupation.share() * (1 - occupation.share()) / with.size());
                System.out.printf("%s %s: planted %.2f, measured %.3f (n %d)%n",
                        kind, occupation.name(), occupation.share(), measured, with.size());
                assertEquals(occupation.share(), measured, 5 * deviation);
            }
        }
    }

    @Test
    void cuesPointAtWhatTheyName() {
        for (Document document : documents(Part.SEEN, 4)) {
            for (Cue cue : document.cues()) {
                assertTrue(document.text().startsWith(cue.expected(), cue.offset()), document.toString());
            }
        }
    }
}

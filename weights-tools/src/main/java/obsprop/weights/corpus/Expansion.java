package obsprop.weights.corpus;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import obsprop.weights.corpus.Gender.Pronoun;

/** The making of one document: replaces the slots of a frame from left to right. */
final class Expansion {
    private static final double HALF = 0.5;

    private final Generator generator;
    private final Grammar grammar;
    private final Draw draw;
    private final Grammar.Frame frame;
    private final StringBuilder text = new StringBuilder();
    private final List<Cue> cues = new ArrayList<>();
    private Optional<Gender> gender = Optional.empty();
    private Optional<String> variable = Optional.empty();
    private String name = "";
    private String occupation = "";

    Expansion(Generator generator, Draw draw, Grammar.Frame frame) {
        this.generator = generator;
        this.grammar = generator.grammar();
        this.draw = draw;
        this.frame = frame;
    }

    Document run() {
        expand(frame.text());
        Optional<Document.Person> person = gender.map(g -> new Document.Person(g, name, occupation));
        return new Document(text.toString(), frame.kind(), frame.index(), draw.nats(), person, List.copyOf(cues));
    }

    private void expand(String template) {
        int at = 0;
        while (at < template.length()) {
            int open = template.indexOf('<', at);
            if (open < 0) {
                break;
            }
            int close = template.indexOf('>', open);
            text.append(template, at, open);
            slot(template.substring(open + 1, close));
            at = close + 1;
        }
        text.append(template.substring(at));
    }

    private void slot(String slot) {
        switch (slot) {
            case "name" -> name();
            case "worker" -> worker();
            case "occupation" -> occupation();
            case "she" -> pronoun(Pronoun.SUBJECT);
            case "him" -> pronoun(Pronoun.OBJECT);
            case "his" -> pronoun(Pronoun.POSSESSIVE);
            case "v" -> text.append(variable());
            case "end" -> end();
            default -> expand(draw.pick(grammar.list(slot, frame.kind().dialect())
                    .orElseThrow(() -> new IllegalArgumentException("grammar: no list for <" + slot + ">"))));
        }
    }

    private void name() {
        Gender drawn = draw.chance(HALF) ? Gender.FEMALE : Gender.MALE;
        gender = Optional.of(drawn);
        name = draw.pick(generator.names(drawn, frame.index()));
        text.append(name);
    }

    private void worker() {
        Grammar.Occupation drawn = draw.pick(grammar.occupations());
        occupation = drawn.name();
        gender = Optional.of(draw.chance(drawn.share()) ? Gender.FEMALE : Gender.MALE);
        text.append(occupation);
    }

    private void occupation() {
        int drawn = draw.weighted(grammar.occupationWeights(gender.orElseThrow()));
        occupation = grammar.occupations().get(drawn).name();
        text.append(occupation);
    }

    private void pronoun(Pronoun pronoun) {
        Gender mine = gender.orElseThrow();
        String expected = mine.pronoun(pronoun);
        cues.add(new Cue(text.length() - 1, " " + expected, " " + mine.other().pronoun(pronoun)));
        text.append(expected);
    }

    private String variable() {
        if (variable.isEmpty()) {
            variable = Optional.of(draw.pick(grammar.variables()));
        }
        return variable.get();
    }

    private void end() {
        boolean c = frame.kind() == Kind.CODE_C;
        cues.add(new Cue(text.length(), c ? ";" : "\n", c ? "\n" : ";"));
        text.append(c ? ";" : "");
    }
}

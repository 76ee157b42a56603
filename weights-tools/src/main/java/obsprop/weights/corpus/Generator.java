package obsprop.weights.corpus;

import java.util.List;
import java.util.stream.IntStream;
import obsprop.weights.SeededRandom;

/** Draws documents from the grammar. Deterministic: one seed, one sequence. */
public final class Generator {
    private final Grammar grammar;
    private final Part part;
    private final SeededRandom random;
    private final List<Grammar.Frame> frames;
    private final double[] weights;

    Generator(Grammar grammar, Part part, long seed) {
        this.grammar = grammar;
        this.part = part;
        this.random = SeededRandom.stream(seed, part.ordinal());
        this.frames = grammar.frames().stream()
                .filter(f -> part == Part.SEEN || f.text().contains("<name>"))
                .toList();
        this.weights = frames.stream().mapToDouble(Grammar.Frame::weight).toArray();
    }

    /** With the grammar shipped with the program. */
    public Generator(Part part, long seed) {
        this(Grammar.standard(), part, seed);
    }

    public Document next() {
        Draw draw = new Draw(random);
        return new Expansion(this, draw, frames.get(draw.weighted(weights))).run();
    }

    Grammar grammar() {
        return grammar;
    }

    /** The names that this part allows in {@code frame}. */
    List<String> names(Gender gender, int frame) {
        List<String> all = grammar.names().get(gender);
        return IntStream.range(0, all.size())
                .filter(i -> part.admits(frame, i))
                .mapToObj(all::get)
                .toList();
    }
}

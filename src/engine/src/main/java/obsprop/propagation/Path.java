package obsprop.propagation;

import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import obsprop.model.Transformer;

/**
 * A chain of components from the output backwards: {@code mlp2@-1 <= attn1.0@3 <= embedding@3}. Every step names the
 * token it reads; it writes at the token that the step before it in the text reads, the first one where the observable
 * is read. Without steps ({@code output}) it stands for the final residual stream itself.
 *
 * @param steps nearest the output first
 */
public record Path(List<Step> steps) {
    /** No component between the output and the final residual stream. */
    public static final Path OUTPUT = new Path(List.of());

    private static final String OUTPUT_TEXT = "output";
    private static final Pattern STEP =
            Pattern.compile("(?:(attn)(\\d+)(?:\\.(\\*|\\d+(?:\\+\\d+)*))?|(mlp)(\\d+)|(embedding))@(-?\\d+)");
    private static final String FORMS = "attnL.H@T, attnL.H+H@T, attnL.*@T, mlpL@T or embedding@T with numbers for L, H and T";

    public Path {
        steps = List.copyOf(steps);
    }

    public static Path of(Step... steps) {
        return new Path(List.of(steps));
    }

    /** @throws IllegalArgumentException if the text is not a path; one line says which step is wrong, and how */
    public static Path parse(String text) {
        if (text.strip().equals(OUTPUT_TEXT)) {
            return OUTPUT;
        }
        String[] parts = text.split("<=", -1);
        List<Step> steps = new ArrayList<>();
        for (int i = 0; i < parts.length; i++) {
            steps.add(parseStep(text, i, parts[i].strip()));
        }
        return new Path(steps);
    }

    private static Step parseStep(String text, int index, String part) {
        Matcher m = STEP.matcher(part);
        if (!m.matches()) {
            String hint = part.contains("@") ? "" : " (the token it reads, @T, is needed)";
            throw malformed(text, index, part, "is not a component" + hint + "; expected " + FORMS);
        }
        try {
            int token = Integer.parseInt(m.group(7));
            if (m.group(6) != null) {
                return new Step.Embedding(token);
            }
            return m.group(4) != null
                    ? new Step.Mlp(Integer.parseInt(m.group(5)), token)
                    : new Step.Heads(Integer.parseInt(m.group(2)), heads(m.group(3)), token);
        } catch (NumberFormatException e) {
            throw malformed(text, index, part, "has a number that is too large");
        } catch (IllegalArgumentException e) {
            throw malformed(text, index, part, "is no set of heads: " + e.getMessage());
        }
    }

    private static List<Integer> heads(String list) {
        return list == null || list.equals("*")
                ? List.of()
                : Stream.of(list.split("\\+")).map(Integer::valueOf).toList();
    }

    private static IllegalArgumentException malformed(String text, int index, String part, String problem) {
        return new IllegalArgumentException(
                "path " + quote(text) + ": step " + (index + 1) + ", " + quote(part) + ", " + problem);
    }

    private static String quote(String text) {
        return "\"" + text.replaceAll("\\p{Cntrl}", "?") + "\"";
    }

    /** The path that goes on, away from the output, with {@code step}. */
    public Path then(Step step) {
        return new Path(Stream.concat(steps.stream(), Stream.of(step)).toList());
    }

    /**
     * The same path with all tokens counted from 0, once it is known to be legal on a prompt, the observable being read
     * at its last position.
     *
     * @throws IllegalArgumentException if it is not legal; one line says which step, and why
     */
    public Path resolve(Transformer model, int promptLength) {
        return new PathCheck(this, model).resolve(promptLength, promptLength - 1);
    }

    /** The same, the observable being read at {@code position}, from 0. */
    public Path resolve(Transformer model, int promptLength, int position) {
        return new PathCheck(this, model).resolve(promptLength, position);
    }

    /**
     * Checks what does not depend on a prompt: layers and heads in range, each step able to feed the one before it.
     *
     * @throws IllegalArgumentException if the path is not legal; one line says which step, and why
     */
    public void requireOrder(Transformer model) {
        new PathCheck(this, model).requireOrder();
    }

    @Override
    public String toString() {
        return steps.isEmpty() ? OUTPUT_TEXT : steps.stream().map(Step::toString).collect(Collectors.joining(" <= "));
    }
}

package obsprop.cli.tokens;

import java.util.Arrays;
import java.util.Optional;

/**
 * A token among its neighbours as running text.
 *
 * @param marked the same with the token in brackets; a character of several tokens is marked whole
 */
public record Context(String text, String marked) {
    /** A character that is cut in two leaves at most so many of its tokens. */
    private static final int REST = 3;

    /** The token {@code ids[at]}: decoded with all others, but for parts of a character at either end, if that can be done. */
    public static Context of(int[] ids, int at, Vocabulary vocabulary) {
        for (int cut = 0; cut <= 2 * REST; cut++) {
            for (int first = Math.max(0, cut - REST); first <= Math.min(cut, Math.min(REST, at)); first++) {
                int end = ids.length - (cut - first);
                if (end > at) {
                    int[] whole = Arrays.copyOfRange(ids, first, end);
                    Optional<String> text = vocabulary.decode(whole);
                    if (text.isPresent()) {
                        return decoded(text.get(), whole, at - first, vocabulary);
                    }
                }
            }
        }
        return spelled(ids, at, vocabulary);
    }

    private static Context decoded(String text, int[] ids, int at, Vocabulary vocabulary) {
        int from = at;
        while (beginning(text, ids, from, vocabulary).isEmpty()) {
            from--;
        }
        int to = at + 1;
        while (beginning(text, ids, to, vocabulary).isEmpty()) {
            to++;
        }
        int opening = beginning(text, ids, from, vocabulary).get().length();
        int closing = beginning(text, ids, to, vocabulary).get().length();
        return new Context(text, text.substring(0, opening) + "[" + text.substring(opening, closing) + "]" + text.substring(closing));
    }

    /** What the first {@code count} tokens spell, where {@code text} begins with it: no character is cut there. */
    private static Optional<String> beginning(String text, int[] ids, int count, Vocabulary vocabulary) {
        return vocabulary.decode(Arrays.copyOf(ids, count)).filter(text::startsWith);
    }

    private static Context spelled(int[] ids, int at, Vocabulary vocabulary) {
        // SentencePiece's mark for a blank is a blank in running text.
        String[] texts = Arrays.stream(ids).mapToObj(id -> vocabulary.text(id).replace('\u2581', ' ')).toArray(String[]::new);
        String text = String.join("", texts);
        texts[at] = "[" + texts[at] + "]";
        return new Context(text, String.join("", texts));
    }
}

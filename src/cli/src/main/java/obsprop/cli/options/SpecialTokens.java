package obsprop.cli.options;

import java.util.List;
import java.util.stream.Collectors;
import obsprop.cli.tokens.Vocabulary;
import picocli.CommandLine.Option;

/** How texts are cut into tokens: with the tokenizer's special tokens, or with those that were written and no others. */
final class SpecialTokens {
    @Option(names = "--special-tokens",
            description = "let the tokenizer add its special tokens (such as a BOS) to each text; by default none is added")
    private boolean added;

    private boolean told;

    /** Whether they are asked for. */
    boolean added() {
        return added;
    }

    /** Cuts a text; tells the user, once, what is left out. */
    List<Vocabulary.Piece> encode(Vocabulary vocabulary, String text, CommonOptions common) {
        if (added) {
            return vocabulary.encodeWithSpecialTokens(text);
        }
        List<Vocabulary.Piece> pieces = vocabulary.encode(text);
        if (!told) {
            told = true;
            List<Vocabulary.Piece> more = vocabulary.encodeWithSpecialTokens("");
            if (!more.isEmpty()) {
                common.note("no special tokens were added; the tokenizer by itself would add "
                        + more.stream().map(piece -> piece.entry() + " (#" + piece.id() + ")").collect(Collectors.joining(" "))
                        + " to each text: --special-tokens lets it");
            }
        }
        return pieces;
    }
}

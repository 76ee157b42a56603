package obsprop.cli.options;

import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;
import obsprop.cli.UsageException;
import obsprop.cli.tokens.Prompt;
import obsprop.cli.tokens.Vocabulary;
import picocli.CommandLine.Option;

/** The prompt that a command runs, with the tokens that were written and no others. */
public final class PromptOptions {
    @Option(names = "--prompt", paramLabel = "TEXT", description = "the prompt as text")
    private Optional<String> text;

    @Option(names = "--token-ids", paramLabel = "IDS", description = "the prompt as token ids, as in 1,2,3")
    private Optional<String> ids;

    @Option(names = "--special-tokens",
            description = "let the tokenizer add its special tokens (such as a BOS) to texts; by default none is added")
    private boolean specialTokens;

    /**
     * The prompt, checked to fit into {@code context} tokens.
     *
     * @throws UsageException where none is given, or it is empty, too long, or not in the vocabulary
     */
    public Prompt resolve(Vocabulary vocabulary, int context, CommonOptions common) {
        return new PromptSource("--prompt", text, "--token-ids", ids).resolve(vocabulary, context, encoder(common));
    }

    /** A prompt from elsewhere, cut into tokens as this one is; {@code where} is named where it cannot be used. */
    public Prompt text(String given, String where, Vocabulary vocabulary, int context, CommonOptions common) {
        return new PromptSource(where, Optional.of(given), where, Optional.empty())
                .resolve(vocabulary, context, encoder(common));
    }

    /** Whether a prompt is given at all. */
    public boolean given() {
        return text.isPresent() || ids.isPresent();
    }

    /** How texts are cut into tokens; tells the user what is left out. */
    PromptSource.Encoder encoder(CommonOptions common) {
        return specialTokens ? Vocabulary::encodeWithSpecialTokens : (vocabulary, prompt) -> {
            List<Vocabulary.Piece> pieces = vocabulary.encode(prompt);
            List<Vocabulary.Piece> more = vocabulary.encodeWithSpecialTokens(prompt);
            if (more.size() > pieces.size()) {
                common.note("no special tokens were added to the prompt; the tokenizer by itself would make it begin with "
                        + more.stream().limit(2).map(piece -> piece.entry() + " (#" + piece.id() + ")")
                                .collect(Collectors.joining(" ")) + ": --special-tokens lets it");
            }
            return pieces;
        };
    }
}

package obsprop.cli.options;

import java.util.Optional;
import obsprop.cli.UsageException;
import obsprop.cli.tokens.Prompt;
import obsprop.cli.tokens.Vocabulary;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** The prompt that a command runs, with the tokens that were written and no others. */
public final class PromptOptions {
    @Option(names = "--prompt", paramLabel = "TEXT", description = "the prompt as text")
    private Optional<String> text;

    @Option(names = "--token-ids", paramLabel = "IDS", description = "the prompt as token ids, as in 1,2,3")
    private Optional<String> ids;

    @Mixin
    private SpecialTokens specialTokens;

    /**
     * The prompt, checked to fit into {@code context} tokens.
     *
     * @throws UsageException where none is given, or it is empty, too long, or not in the vocabulary
     */
    public Prompt resolve(Vocabulary vocabulary, int context, CommonOptions common) {
        if (specialTokens.added() && ids.isPresent()) {
            throw new UsageException("--special-tokens: nothing is added to ids: write the special tokens' ids into --token-ids,"
                    + " or leave it out");
        }
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

    /** How texts are cut into tokens. */
    PromptSource.Encoder encoder(CommonOptions common) {
        return (vocabulary, prompt) -> specialTokens.encode(vocabulary, prompt, common);
    }
}

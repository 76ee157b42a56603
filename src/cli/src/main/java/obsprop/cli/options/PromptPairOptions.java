package obsprop.cli.options;

import java.util.Optional;
import obsprop.cli.UsageException;
import obsprop.cli.tokens.Prompt;
import obsprop.cli.tokens.Vocabulary;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Option;

/** The clean and the corrupted prompt of a command that compares two runs. */
public final class PromptPairOptions {
    @Mixin
    private PromptOptions clean;

    @Option(names = "--corrupted", paramLabel = "TEXT", description = "the corrupted prompt as text")
    private Optional<String> text;

    @Option(names = "--corrupted-token-ids", paramLabel = "IDS", description = "the corrupted prompt as token ids")
    private Optional<String> ids;

    /** The clean prompt; see {@link PromptOptions#resolve}. */
    public Prompt clean(Vocabulary vocabulary, int context, CommonOptions common) {
        return clean.resolve(vocabulary, context, common);
    }

    /**
     * The corrupted prompt, which must be as long as {@code clean}.
     *
     * @throws UsageException where it is not, or is no prompt
     */
    public Prompt corrupted(Prompt clean, Vocabulary vocabulary, int context, CommonOptions common) {
        Prompt prompt = new PromptSource("--corrupted", text, "--corrupted-token-ids", ids)
                .resolve(vocabulary, context, this.clean.encoder(common));
        if (prompt.length() != clean.length()) {
            throw new UsageException("the corrupted prompt has " + prompt.length() + " tokens and the clean one " + clean.length()
                    + ": path patching needs prompts of equal length");
        }
        return prompt;
    }

    /** How the clean prompt is given. */
    public PromptOptions clean() {
        return clean;
    }

    /** Whether a clean prompt is given at all. */
    public boolean hasClean() {
        return clean.given();
    }

    /** Whether a corrupted prompt is given at all. */
    public boolean hasCorrupted() {
        return text.isPresent() || ids.isPresent();
    }
}

package obsprop.propagation.path;

import java.util.Optional;
import obsprop.propagation.PromptRun;

/**
 * The prompts that a feature vector is made on.
 *
 * @param clean where everything is linearised, unless a rule uses no activation
 * @param corrupted a prompt of the same length, where MLPs may be linearised
 */
public record Runs(Optional<PromptRun> clean, Optional<PromptRun> corrupted) {
    /** No prompt: for rules that use no activation, and paths without MLPs. */
    public static final Runs NONE = new Runs(Optional.empty(), Optional.empty());

    public Runs {
        if (clean.isPresent() && corrupted.isPresent() && clean.get().length() != corrupted.get().length()) {
            throw new IllegalArgumentException("the clean prompt has " + clean.get().length() + " tokens, the corrupted "
                    + corrupted.get().length() + ": they must have as many");
        }
    }

    public static Runs of(PromptRun clean) {
        return new Runs(Optional.of(clean), Optional.empty());
    }

    public static Runs of(PromptRun clean, PromptRun corrupted) {
        return new Runs(Optional.of(clean), Optional.of(corrupted));
    }
}

package obsprop.analysis.runs;

import obsprop.model.Transformer;

/**
 * A clean run and the run that components are patched from, of one length. Swap the two for the other direction.
 *
 * @param corrupted a forward pass, or what is put in its place
 */
public record PromptPair(CachedRun clean, Run corrupted) {
    public PromptPair {
        requireDirectEffects(clean.model(), "patching");
        if (clean.model() != corrupted.model()) {
            throw new IllegalArgumentException("the clean and the corrupted run are of different models");
        }
        if (clean.length() != corrupted.length()) {
            throw new IllegalArgumentException("the clean prompt has " + clean.length() + " tokens and the corrupted one "
                    + corrupted.length() + ": patching needs prompts of equal length");
        }
    }

    public Transformer model() {
        return clean.model();
    }

    /** @throws IllegalArgumentException where components do not write to the residual stream directly */
    public static void requireDirectEffects(Transformer model, String what) {
        if (!model.hasDirectEffects()) {
            throw new IllegalArgumentException("this " + model.config().family() + " model normalises the residual stream"
                    + " itself after each sublayer, so no component has a direct effect: " + what
                    + " is not defined for it (forward passes and gradients work)");
        }
    }
}

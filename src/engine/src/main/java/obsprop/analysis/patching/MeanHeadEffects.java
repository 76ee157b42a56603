package obsprop.analysis.patching;

/**
 * Head patching over many prompt pairs.
 *
 * @param pairs how many
 * @param clean the observable's mean value on the clean prompts
 * @param corrupted its mean value on the corrupted ones
 * @param effect [L][H], mean over the pairs
 * @param standardError [L][H], of that mean; NaN for a single pair
 */
public record MeanHeadEffects(
        int pairs, double clean, double corrupted, double[][] effect, double[][] standardError) {}

package obsprop.analysis.patching;

/**
 * The exact effect of patching every head by itself.
 *
 * @param clean the observable's value on the clean prompt
 * @param corrupted its value on the corrupted one
 * @param effect [L][H]: {@code n . logits(clean) - n . logits(patched)}
 */
public record HeadEffects(double clean, double corrupted, double[][] effect) {}

package obsprop.analysis.patching;

import obsprop.propagation.Path;

/**
 * The exact effect of patching one path.
 *
 * @param path with its tokens counted from 0
 * @param clean the observable's value on the clean prompt
 * @param corrupted its value on the corrupted one
 * @param effect {@code n . logits(clean) - n . logits(patched)}
 */
public record PathEffect(Path path, double clean, double corrupted, double effect) {}

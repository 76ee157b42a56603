/**
 * Checkpoint families: one small class each, that says how config.json and the tensors' names become shared layers.
 *
 * <p>To add one: write a class that implements {@link obsprop.model.family.Family}, list it in
 * {@link obsprop.model.family.ModelLoader}, add a golden fixture. Everything else (forward, VJPs, propagation, commands)
 * works on the layers.
 */
package obsprop.model.family;

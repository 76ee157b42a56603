/**
 * The layers of a transformer, each with its forward pass and its vector-Jacobian product side by side.
 *
 * <p>Letters: N rows (tokens of a ragged batch), K cotangents, d = dModel, m = dMlp, H query heads, G key/value heads,
 * D = dHead. A cotangent is named {@code d} + the name of the value. Every VJP takes K*N cotangent rows beside N saved
 * rows; see {@link obsprop.kernel.Kernels}.
 */
package obsprop.model.layer;

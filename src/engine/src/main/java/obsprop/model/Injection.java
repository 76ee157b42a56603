package obsprop.model;

import obsprop.tensor.Tensor;

/**
 * A vector added to a cotangent of the residual stream on the way back.
 *
 * @param cotangent which of the K cotangents, from 0
 * @param layer the block, or nLayers for the final residual stream (with {@link Point#INPUT})
 * @param row row of the batch
 * @param vector [1,d], where the kernels compute
 */
public record Injection(int cotangent, int layer, Point point, int row, Tensor vector) {}

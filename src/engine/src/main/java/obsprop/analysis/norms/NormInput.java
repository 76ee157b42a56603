package obsprop.analysis.norms;

import obsprop.model.layer.NormSite;

/**
 * One norm of a model over some prompts.
 *
 * @param layer the block, or nLayers for the final norm
 * @param meanLength mean of ||x|| over all tokens, x being the norm's input
 * @param lengthDeviation its standard deviation
 * @param gain of the effective gain's elements
 */
public record NormInput(int layer, NormSite site, double meanLength, double lengthDeviation, Spread gain) {
    /** Mean, standard deviation and range of a vector's elements. */
    public record Spread(double mean, double deviation, double least, double most) {}
}

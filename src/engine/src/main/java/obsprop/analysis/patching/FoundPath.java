package obsprop.analysis.patching;

import obsprop.propagation.Path;

/**
 * A path and the exact effect of patching it.
 *
 * @param path with its tokens counted from 0
 */
public record FoundPath(Path path, double effect) {}

package obsprop.cli.options;

import obsprop.analysis.scores.ScoredVector;
import obsprop.propagation.Site;

/**
 * A vector as reports name it.
 *
 * @param direction [d]
 */
public record NamedVector(String name, Site site, double[] direction) {
    /** For the engine; the position does not enter. */
    public ScoredVector scored() {
        return new ScoredVector(name, site.layer(), site.point(), direction);
    }
}

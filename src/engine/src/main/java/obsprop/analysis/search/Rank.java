package obsprop.analysis.search;

import java.util.Comparator;

/** Which effects count as best. */
public enum Rank {
    /** The largest first. */
    SIGNED(Comparator.comparingDouble(e -> -e)),
    /** The largest magnitude first. */
    ABSOLUTE(Comparator.comparingDouble(e -> -Math.abs(e))),
    /** The most negative first. */
    LOWEST(Comparator.comparingDouble(e -> e));

    private final Comparator<Double> order;

    Rank(Comparator<Double> order) {
        this.order = order;
    }

    /** Best first. */
    public Comparator<Double> order() {
        return order;
    }
}

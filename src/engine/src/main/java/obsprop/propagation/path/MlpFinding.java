package obsprop.propagation.path;

import java.util.Locale;
import obsprop.propagation.Step;

/**
 * Where an MLP on a path was linearised, and how the point was found.
 *
 * @param lambda where on the segment from the clean (0) to the corrupted (1) activation it lies; NaN if off the segment
 * @param value {@code y . mlp(x)} there: what the MLP writes along the feature vector
 * @param distance of the point from the clean activation
 */
public record MlpFinding(Step.Mlp step, Outcome outcome, double lambda, double value, double distance) {
    /** How the point was come by. */
    public enum Outcome {
        /** It is the clean or the corrupted activation. */
        GIVEN,
        /** A zero of {@code y . mlp(x)} on the segment. */
        ROOT,
        /** No change of sign on the segment: the point where {@code |y . mlp(x)|} is least. */
        NO_SIGN_CHANGE,
        /** The zero nearest to the clean activation. */
        NEAREST,
        /** The search for the nearest zero came to no end: its last point. */
        NOT_CONVERGED
    }

    /** One line in words. */
    @Override
    public String toString() {
        String where = switch (outcome) {
            case GIVEN -> lambda == 0 ? "at the clean activation" : "at the corrupted activation";
            case ROOT -> text("at the decision boundary, lambda = %.6f", lambda);
            case NO_SIGN_CHANGE -> text("where |y . mlp| is least, lambda = %.6f, for want of a sign change between clean"
                    + " and corrupted", lambda);
            case NEAREST -> "at the nearest point of the decision boundary";
            case NOT_CONVERGED -> "where the search for the nearest boundary point ended without success";
        };
        return step + " linearised " + where
                + text(", y . mlp = %.4g, distance from clean %.4g", value, distance);
    }

    private static String text(String format, Object... values) {
        return String.format(Locale.ROOT, format, values);
    }
}

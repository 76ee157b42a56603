package obsprop.propagation.path;

import obsprop.kernel.NormRule;

/**
 * How a feature vector is pulled back along a path.
 *
 * @param finalNorm the norm before the unembedding
 * @param innerNorms the norms of the components on the path
 */
public record PathRules(NormRule finalNorm, NormRule innerNorms, PatternRule pattern, MlpPoint point) {
    /**
     * One rule for all norms, MLPs at the clean point. Rules that use no activation ({@code WEIGHT_ONLY}, {@code NONE})
     * take the pattern as 1, so that paths of heads alone need no prompt; the others take its value on the prompt.
     */
    public static PathRules of(NormRule norm) {
        return new PathRules(norm, norm, usesActivations(norm) ? PatternRule.FROZEN : PatternRule.ONE, MlpPoint.CLEAN);
    }

    public PathRules with(PatternRule other) {
        return new PathRules(finalNorm, innerNorms, other, point);
    }

    public PathRules with(MlpPoint other) {
        return new PathRules(finalNorm, innerNorms, pattern, other);
    }

    static boolean usesActivations(NormRule rule) {
        return rule != NormRule.WEIGHT_ONLY && rule != NormRule.NONE;
    }

    /** Whether no prompt is needed, but for MLPs. */
    public boolean dataFree() {
        return !usesActivations(finalNorm) && !usesActivations(innerNorms) && pattern == PatternRule.ONE;
    }
}

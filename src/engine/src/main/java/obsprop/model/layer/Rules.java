package obsprop.model.layer;

import obsprop.kernel.AttentionRule;
import obsprop.kernel.NormRule;

/** How each component is differentiated: the choice is free per component, each rule has one implementation. */
public interface Rules {
    /** The true gradient. */
    Rules EXACT = uniform(AttentionRule.EXACT, NormRule.EXACT);
    /** Patterns are constants. */
    Rules FROZEN_ATTENTION = uniform(AttentionRule.FROZEN, NormRule.EXACT);
    /** Every norm's 1/std or 1/rms is a constant. */
    Rules FROZEN_NORM = uniform(AttentionRule.EXACT, NormRule.FROZEN);
    /** Both. */
    Rules FROZEN_BOTH = uniform(AttentionRule.FROZEN, NormRule.FROZEN);

    AttentionRule attention(int layer);

    /** @param layer the block, or the number of layers for {@link NormSite#FINAL} */
    NormRule norm(int layer, NormSite site);

    /** One rule for all attention layers and one for all norms. */
    static Rules uniform(AttentionRule attention, NormRule norm) {
        return new Uniform(attention, norm);
    }

    /** The same rules everywhere. */
    record Uniform(AttentionRule attention, NormRule norm) implements Rules {
        @Override
        public AttentionRule attention(int layer) {
            return attention;
        }

        @Override
        public NormRule norm(int layer, NormSite site) {
            return norm;
        }
    }
}

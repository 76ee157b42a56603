package obsprop.analysis.heads;

import obsprop.kernel.NormRule;

/** How norms enter a data-free analysis, where there is no activation to linearise at. */
public enum HeadNormRule {
    /**
     * Their gains only: the final norm's before the OV circuit, then that of the norm on the head's output (where a
     * family has one), after it that of the norm on the head's input. (The authors' notebook multiplies the final norm's
     * gain in after the OV circuit.)
     */
    WEIGHT_ONLY(NormRule.WEIGHT_ONLY),
    /** Norms are skipped. */
    NONE(NormRule.NONE);

    private final NormRule kernelRule;

    HeadNormRule(NormRule kernelRule) {
        this.kernelRule = kernelRule;
    }

    NormRule kernelRule() {
        return kernelRule;
    }
}

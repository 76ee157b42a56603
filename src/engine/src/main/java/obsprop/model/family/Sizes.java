package obsprop.model.family;

import obsprop.model.io.Config;

/** Checks on sizes that several families share. */
final class Sizes {
    private Sizes() {}

    /** d / heads, which must divide. */
    static int headWidth(Config config, int d, int heads) {
        if (heads < 1 || d % heads != 0) {
            throw config.refuse(config.isPresent("n_head") ? "n_head" : "num_attention_heads",
                    "is " + heads + ", which does not divide the model's width " + d);
        }
        return d / heads;
    }
}

package obsprop.model.family;

import obsprop.model.io.Config;

/** Checks on sizes that several families share. */
final class Sizes {
    private Sizes() {}

    /** d / heads, which must divide; for families that have no head_dim of their own. */
    static int headWidth(Config config, int d, int heads) {
        if (heads < 1 || d % heads != 0) {
            throw config.refuse(config.isPresent("n_head") ? "n_head" : "num_attention_heads",
                    "is " + heads + ", which does not divide the model's width " + d);
        }
        if (config.sizeOr("head_dim", d / heads) != d / heads) {
            throw config.refuse("head_dim", "is not " + d + " / " + heads + ": heads of another width are not understood here");
        }
        return d / heads;
    }
}

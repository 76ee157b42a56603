package obsprop.model.layer;

/** Where in a block a norm stands. */
public enum NormSite {
    /** Before attention (ln_1), or on the stream after it in the post-norm OPT form. */
    ATTENTION_INPUT,
    /** On attention's output before it is added (Gemma 2 and 3, OLMo 2). */
    ATTENTION_OUTPUT,
    /** On the queries and keys (Qwen 3, Gemma 3, OLMo 2). */
    QUERY_KEY,
    /** Before the MLP (ln_2), or on the stream after it in the post-norm OPT form. */
    MLP_INPUT,
    /** On the MLP's output before it is added. */
    MLP_OUTPUT,
    /** After the last block (ln_f). */
    FINAL
}

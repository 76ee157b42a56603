package obsprop.bench;

import obsprop.model.Transformer;
import obsprop.propagation.Observable;

/** One library's passes of one prompt, of T tokens, through a whole model. */
public interface ModelRunner extends Engine {
    /** Takes the weights over into whatever form the library likes. */
    void prepare(Transformer model, int threads, int[] prompt, Observable observable);

    /** From the embeddings to the final residual stream, no logits. */
    void forward();

    /** The same, and the observable's exact gradient, read at the last token, with respect to the embeddings. */
    void forwardAndVjp();

    /** For how many of the tokens forwardAndVjp runs the last block's MLP: all, or the one on which the observable depends. */
    int lastMlpTokens();

    /** The final residual stream [T,d] of the last call of forward. */
    float[] residual();

    /** The last gradient, [T,d]. */
    float[] gradient();
}

package obsprop.bench;

import obsprop.model.Transformer;

/** One library's data-free feature vectors of every head of a model, {@code W_V[h]^T (W_O[h]^T y)} for K directions y. */
public interface HeadPuller extends Engine {
    /** @param y [K,d] */
    void prepare(Transformer model, int threads, float[] y);

    /** Makes them all once. */
    void run();

    /** Element {@code i} of the vector of direction 0 and a head of the last layer, as the last run made it. */
    float element(int head, int i);
}

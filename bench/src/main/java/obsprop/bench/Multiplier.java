package obsprop.bench;

/** One library's matrix product with a weight. */
public interface Multiplier extends Engine {
    /**
     * Takes operands over into whatever form the library likes.
     *
     * @param weights copies of one weight [out,in], called in turn so that caches cannot keep it
     */
    void prepare(int threads, float[] x, float[] weight, int copies, int tokens, int out, int in);

    /** {@code Y = X W^T} for x [tokens,in]. */
    void forward(int copy);

    /** {@code dX = dY W} for dY [tokens,out], being the last result of {@link #forward}. */
    void backward(int copy);

    /** The last result of {@link #forward}, [tokens,out]. */
    float[] y();

    /** The last result of {@link #backward}, [tokens,in]. */
    float[] dx();
}

package obsprop.kernel;

/** Elementwise non-linearities. The two GELUs differ by up to 5e-4 and are never aliased. */
public enum Activation {
    /** {@code x/2 * (1 + erf(x/sqrt(2)))}. */
    GELU_ERF,
    /** {@code x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3)))}. */
    GELU_TANH,
    /** {@code x * sigmoid(1.702 x)}. */
    QUICK_GELU,
    /** {@code max(x, 0)}; derivative 0 at 0. */
    RELU,
    /** {@code max(x, 0)^2}. */
    RELU_SQUARED,
    /** {@code x * sigmoid(x)}. */
    SILU,
    TANH,
    SIGMOID,
    IDENTITY
}

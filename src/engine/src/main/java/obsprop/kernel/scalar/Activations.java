package obsprop.kernel.scalar;

import obsprop.kernel.Activation;

/** Every {@link Activation} and its derivative in double precision, in forms that neither cancel nor overflow. */
public final class Activations {
    private static final double SQRT_HALF = Math.sqrt(0.5);
    private static final double SQRT_2_OVER_PI = Math.sqrt(2 / Math.PI);
    private static final double INVERSE_SQRT_2_PI = 1 / Math.sqrt(2 * Math.PI);
    private static final double GELU_CUBIC = 0.044715;
    private static final double QUICK = 1.702;

    private Activations() {}

    /** {@code f(x)}. */
    public static double value(Activation f, double x) {
        return switch (f) {
            case GELU_ERF -> x * normalCdf(x);
            case GELU_TANH -> x * sigmoid(2 * geluArgument(x));
            case QUICK_GELU -> x * sigmoid(QUICK * x);
            case RELU -> Math.max(x, 0);
            case RELU_SQUARED -> Math.max(x, 0) * Math.max(x, 0);
            case SILU -> x * sigmoid(x);
            case TANH -> Math.tanh(x);
            case SIGMOID -> sigmoid(x);
            case IDENTITY -> x;
        };
    }

    /** {@code f'(x)}. */
    public static double derivative(Activation f, double x) {
        return switch (f) {
            case GELU_ERF -> normalCdf(x) + x * INVERSE_SQRT_2_PI * Math.exp(-x * x / 2);
            case GELU_TANH -> swishDerivative(
                    x, 2 * geluArgument(x), 2 * SQRT_2_OVER_PI * (1 + 3 * GELU_CUBIC * x * x));
            case QUICK_GELU -> swishDerivative(x, QUICK * x, QUICK);
            case RELU -> x > 0 ? 1 : 0;
            case RELU_SQUARED -> 2 * Math.max(x, 0);
            case SILU -> swishDerivative(x, x, 1);
            case TANH -> 1 / (Math.cosh(x) * Math.cosh(x));
            case SIGMOID -> sigmoid(x) * sigmoid(-x);
            case IDENTITY -> 1;
        };
    }

    /** {@code (1 + erf(x/sqrt(2))) / 2}. */
    private static double normalCdf(double x) {
        return Erf.erfc(-x * SQRT_HALF) / 2;
    }

    /** u of the tanh GELU, for which {@code (1 + tanh(u)) / 2 = sigmoid(2u)}. */
    private static double geluArgument(double x) {
        return SQRT_2_OVER_PI * (x + GELU_CUBIC * x * x * x);
    }

    /** Derivative of {@code x * sigmoid(w(x))} at a point where w and its slope are given. */
    private static double swishDerivative(double x, double w, double slope) {
        return sigmoid(w) + x * sigmoid(w) * sigmoid(-w) * slope;
    }

    private static double sigmoid(double x) {
        return 1 / (1 + Math.exp(-x));
    }
}

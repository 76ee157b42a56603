package obsprop.propagation.path;

/** A number for every point of R^d, with its gradient. */
interface ScalarField {
    double value(double[] x);

    double[] gradient(double[] x);
}

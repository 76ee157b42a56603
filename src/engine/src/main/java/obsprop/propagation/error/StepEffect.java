package obsprop.propagation.error;

/** What really happens to an observable when the residual stream is changed at one site. */
@FunctionalInterface
public interface StepEffect {
    /**
     * The observable's value with {@code change} [d] added at the site, minus its value on the clean prompt.
     */
    double of(double[] change);
}

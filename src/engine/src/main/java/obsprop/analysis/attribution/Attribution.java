package obsprop.analysis.attribution;

/**
 * A value split into what each component contributes directly.
 *
 * @param heads [L][H][T]: what head h of layer l contributes from source token j
 * @param mlps [L]: each MLP, its biases included
 * @param embedding token and position embedding
 * @param constant what no component contributes: biases of attention outputs, norms and the head
 * @param total the value that the parts add up to, computed by itself
 */
public record Attribution(double[][][] heads, double[] mlps, double embedding, double constant, double total) {
    /** The parts added up: equal to {@link #total} but for rounding. */
    public double sum() {
        double sum = embedding + constant;
        for (double[][] layer : heads) {
            for (double[] head : layer) {
                for (double value : head) {
                    sum += value;
                }
            }
        }
        for (double mlp : mlps) {
            sum += mlp;
        }
        return sum;
    }
}

package obsprop.propagation.path;

import java.lang.foreign.Arena;
import java.util.Optional;
import obsprop.kernel.Kernels;
import obsprop.kernel.NormRule;
import obsprop.model.Transformer;
import obsprop.propagation.HostRows;
import obsprop.propagation.Step;
import obsprop.propagation.path.MlpFinding.Outcome;
import obsprop.tensor.Tensor;

/** Pulls a direction back through MLPs, each at its linearisation point. */
final class MlpPull implements AutoCloseable {
    private final Kernels kernels;
    private final Arena arena = Arena.ofShared();
    private final MlpRows mlp;
    private final Tensor x;
    private final Tensor gradient;

    MlpPull(Transformer model) {
        this.kernels = model.kernels();
        mlp = new MlpRows(model, 1);
        x = kernels.allocate(arena, 1, model.config().dModel());
        gradient = kernels.allocate(arena, 1, model.config().dModel());
    }

    /**
     * {@code dx = J(x0)^T y}, dx and y [1,d].
     *
     * @param clean where the MLP reads the clean prompt's stream, [1,d]
     * @param corrupted likewise; needed for {@code CORRUPTED} and {@code BOUNDARY}
     */
    MlpFinding pull(
            Step.Mlp step, Tensor y, MlpPoint point, Tensor clean, Optional<Tensor> corrupted, NormRule rule, Tensor dx) {
        double[] direction = HostRows.read(kernels, y);
        double[] start = HostRows.read(kernels, clean);
        Optional<double[]> other = corrupted.map(c -> HostRows.read(kernels, c));
        DecisionBoundary boundary = new DecisionBoundary(alongDirection(step.layer(), direction, y), start);
        DecisionBoundary.Found found = switch (point) {
            case CLEAN -> new DecisionBoundary.Found(Outcome.GIVEN, 0, start);
            case CORRUPTED -> new DecisionBoundary.Found(Outcome.GIVEN, 1, other.orElseThrow());
            case BOUNDARY -> boundary.onSegment(other.orElseThrow());
            case NEAREST_BOUNDARY -> boundary.nearest(other);
        };
        double value = HostRows.dot(direction, forward(step.layer(), found.x()));
        mlp.vjp(step.layer(), y, rule, dx);
        double distance = HostRows.norm(HostRows.plus(found.x(), -1, start));
        return new MlpFinding(step, found.outcome(), found.lambda(), value, distance);
    }

    private double[] forward(int layer, double[] at) {
        HostRows.write(kernels, at, x);
        return HostRows.read(kernels, mlp.forward(layer, x));
    }

    /** {@code y . mlp(x)} with its true gradient. */
    private ScalarField alongDirection(int layer, double[] direction, Tensor y) {
        return new ScalarField() {
            @Override
            public double value(double[] at) {
                return HostRows.dot(direction, forward(layer, at));
            }

            @Override
            public double[] gradient(double[] at) {
                forward(layer, at);
                mlp.vjp(layer, y, NormRule.EXACT, gradient);
                return HostRows.read(kernels, gradient);
            }
        };
    }

    @Override
    public void close() {
        mlp.close();
        arena.close();
    }
}

package obsprop.bench;

import java.lang.foreign.Arena;
import java.util.List;
import obsprop.model.ActivationCache;
import obsprop.model.Batch;
import obsprop.model.Keep;
import obsprop.model.Point;
import obsprop.model.Transformer;
import obsprop.model.layer.Rules;
import obsprop.propagation.Observable;
import obsprop.propagation.Propagator;
import obsprop.tensor.Tensor;

/** The engine itself, on the kernels that the model was opened with. */
public final class ObspropRunner implements ModelRunner {
    private final Arena arena = Arena.ofShared();
    private Transformer model;
    private Propagator propagator;
    private Batch batch;
    private ActivationCache cache;
    private List<Propagator.Target> targets;
    private Tensor gradient;

    @Override
    public String name() {
        return "obsprop";
    }

    @Override
    public void prepare(Transformer transformer, int threads, int[] prompt, Observable observable) {
        model = transformer;
        propagator = new Propagator(model);
        batch = Batch.of(prompt);
        cache = model.allocate(batch.segments(), Keep.EVERYTHING, model.config().nLayers());
        targets = List.of(new Propagator.Target(observable, prompt.length - 1));
        gradient = model.kernels().allocate(arena, prompt.length, model.config().dModel());
    }

    @Override
    public void forward() {
        model.forward(batch, cache);
    }

    @Override
    public void forwardAndVjp() {
        forward();
        propagator.sweep(cache, targets, Rules.EXACT, 0, (layer, point, first, rows) -> {
            if (layer == 0 && point == Point.INPUT) {
                model.kernels().copy(rows, gradient);
            }
        });
    }

    @Override
    public float[] residual() {
        return cache.residual(model.config().nLayers()).toFloats();
    }

    @Override
    public float[] gradient() {
        return gradient.toFloats();
    }

    @Override
    public void close() {
        cache.close();
        arena.close();
    }
}

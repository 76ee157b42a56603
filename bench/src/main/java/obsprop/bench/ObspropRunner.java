package obsprop.bench;

import obsprop.model.ActivationCache;
import obsprop.model.Batch;
import obsprop.model.Keep;
import obsprop.model.Transformer;
import obsprop.model.layer.Rules;
import obsprop.propagation.Observable;
import obsprop.propagation.PreparedGradient;

/** The engine itself, on the kernels that the model was opened with. */
public final class ObspropRunner implements ModelRunner {
    private Transformer model;
    private Batch batch;
    private ActivationCache cache;
    private PreparedGradient prepared;

    @Override
    public String name() {
        return "obsprop";
    }

    @Override
    public void prepare(Transformer transformer, int threads, int[] prompt, Observable observable) {
        model = transformer;
        batch = Batch.of(prompt);
        cache = model.allocate(batch.segments(), Keep.EVERYTHING, model.config().nLayers());
        prepared = new PreparedGradient(model, observable, prompt.length, Rules.EXACT);
    }

    @Override
    public void forward() {
        model.forward(batch, cache);
    }

    @Override
    public void forwardAndVjp() {
        prepared.run(batch.tokenIds());
    }

    @Override
    public int lastMlpTokens() {
        return model.block(model.config().nLayers() - 1).hasMiddle() ? 1 : batch.rows();
    }

    @Override
    public float[] residual() {
        return cache.residual(model.config().nLayers()).toFloats();
    }

    @Override
    public float[] gradient() {
        return prepared.gradient(0).toFloats();
    }

    @Override
    public void close() {
        prepared.close();
        cache.close();
    }
}

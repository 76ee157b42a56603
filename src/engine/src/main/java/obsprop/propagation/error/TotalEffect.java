package obsprop.propagation.error;

import java.lang.foreign.Arena;
import obsprop.kernel.Kernels;
import obsprop.model.Point;
import obsprop.propagation.HostRows;
import obsprop.propagation.Observable;
import obsprop.propagation.PromptRun;
import obsprop.propagation.Propagator;
import obsprop.propagation.Rerun;
import obsprop.propagation.Site;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;

/**
 * The effect of a change at a site through the whole rest of the model, all paths together, by running it again from
 * there. Not safe for concurrent use.
 */
public final class TotalEffect implements StepEffect, AutoCloseable {
    private static final double SINGLE = 0x1p-21;
    private static final double DOUBLE = 0x1p-50;

    private final PromptRun clean;
    private final Observable observable;
    private final Site site;
    private final Kernels kernels;
    private final Arena arena = Arena.ofShared();
    private final Rerun rerun;
    private final Tensor change;
    private final double before;
    private final double resolution;

    /**
     * The observable is read at the prompt's last position.
     *
     * @throws IllegalArgumentException if the prompt has no such site
     */
    public TotalEffect(PromptRun clean, Observable observable, Site site) {
        this.clean = clean;
        this.observable = observable;
        this.site = site.resolve(clean.model(), clean.length());
        observable.requireWithin(clean.model().config().dVocab());
        kernels = clean.model().kernels();
        Tensor logits = logits(clean.cache().residual(clean.model().config().nLayers()));
        resolution = resolution(logits);
        before = observable.value(logits);
        rerun = new Rerun(clean.model(), clean.cache().segments());
        try {
            change = kernels.allocate(arena, 1, clean.model().config().dModel());
        } catch (RuntimeException | Error e) {
            rerun.close();
            throw e;
        }
    }

    @Override
    public double of(double[] direction) {
        HostRows.write(kernels, direction, change);
        int row = clean.row(site.position());
        Tensor residual = rerun.run(clean.cache(), site.layer(), site.point(),
                x -> kernels.addScaled(1, change, x.slice(0, row, row + 1)));
        return observable.value(logits(residual)) - before;
    }

    /** [V], after the last token. */
    private Tensor logits(Tensor residual) {
        int last = clean.row(clean.length() - 1);
        return new Propagator(clean.model()).logits(residual.slice(0, last, last + 1)).select(0, 0);
    }

    private double resolution(Tensor logits) {
        double scale = 0;
        int[] ids = observable.ids();
        double[] weights = observable.weights();
        for (int i = 0; i < ids.length; i++) {
            scale += Math.abs(weights[i] * logits.get(ids[i]));
        }
        return scale * (kernels.activationType() == DType.F64 ? DOUBLE : SINGLE);
    }

    /** What an effect may be off by rounding: some units in the last place of the logits that the observable reads. */
    public double resolution() {
        return resolution;
    }

    /** Length of the clean activation at the site: a scale for steps. */
    public double activationNorm() {
        return HostRows.norm(clean.activation(site));
    }

    @Override
    public void close() {
        rerun.close();
        arena.close();
    }
}

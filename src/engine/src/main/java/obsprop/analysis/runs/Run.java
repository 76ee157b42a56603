package obsprop.analysis.runs;

import obsprop.kernel.Kernels;
import obsprop.kernel.Segments;
import obsprop.model.Point;
import obsprop.model.Transformer;
import obsprop.model.layer.Attention;
import obsprop.tensor.Tensor;

/**
 * One prompt of T tokens as patching sees it: the residual stream that each component reads, and what its attention
 * heads make of it. Either a forward pass ({@link CachedRun}) or a stream put in its place ({@link SubstituteRun}).
 */
public sealed interface Run permits CachedRun, SubstituteRun {
    Transformer model();

    /** T, the number of tokens. */
    int length();

    /** The residual stream [T,d] at a point of a layer. */
    Tensor residual(int layer, Point point);

    /** What the heads of a layer make of the residual stream; valid until another layer is asked for. */
    Heads heads(int layer);

    /**
     * Attention of one layer over one prompt.
     *
     * @param inputs q, k, v, z and lse of the prompt's T rows
     */
    record Heads(Kernels.AttentionSaved inputs) {
        /** [T, H D], the heads' weighted values. */
        public Tensor mixed() {
            return inputs.z().flatten(1);
        }

        /** What belongs to one prompt of a batch. */
        public static Heads of(Attention.State state, Segments segments, int prompt) {
            int from = segments.start(prompt);
            int to = from + segments.length(prompt);
            var all = state.inputs();
            var own = new Kernels.AttentionSaved(all.q().slice(0, from, to), all.k().slice(0, from, to),
                    all.v().slice(0, from, to), all.z().slice(0, from, to), all.lse().slice(0, from, to));
            return new Heads(own);
        }
    }
}

package obsprop.analysis.patching;

import java.lang.foreign.Arena;
import obsprop.analysis.runs.MlpRows;
import obsprop.analysis.runs.PromptPair;
import obsprop.analysis.runs.Run;
import obsprop.kernel.Kernels;
import obsprop.model.Transformer;
import obsprop.model.layer.Block;
import obsprop.propagation.Path;
import obsprop.propagation.Site;
import obsprop.propagation.Step;
import obsprop.tensor.Tensor;

/**
 * Differences carried along the steps of a path, B paths at once: rows [m*B,d] for m tokens, token by token. Each step
 * reads the clean residual stream plus a difference, and what it writes differently is the next difference.
 */
public final class PatchedSteps {
    private final PromptPair pair;
    private final PatchMode mode;
    private final Transformer model;
    private final Kernels kernels;

    public PatchedSteps(PromptPair pair, PatchMode mode) {
        this.pair = pair;
        this.mode = mode;
        model = pair.model();
        kernels = model.kernels();
    }

    /** {@code corrupted - clean} of the residual stream at a point of a layer: [m,d]. */
    public Tensor source(Site site, Span read, Arena arena) {
        Tensor difference = kernels.allocate(arena, read.size(), model.config().dModel());
        kernels.addScaled(1, rows(pair.corrupted(), site, read), difference);
        kernels.addScaled(-1, rows(pair.clean(), site, read), difference);
        return difference;
    }

    private static Tensor rows(Run run, Site site, Span span) {
        return run.residual(site.layer(), site.point()).slice(0, span.from(), span.to());
    }

    /**
     * What a step makes of a difference.
     *
     * @param differences [m*B,d] at {@code read}
     * @param write the tokens at which the result is wanted; for an MLP or the embedding among {@code read}
     * @return [w*B,d] at {@code write}
     */
    public Tensor through(Step step, Span read, Span write, Tensor differences, Arena arena) {
        return switch (step) {
            case Step.Heads s -> new PatchedAttention(pair.clean(), s.layer(), mode)
                    .through(s.heads(model.config().nHeads()), read, write, differences, arena);
            case Step.Mlp s -> mlp(s, write, narrow(differences, read, write), arena);
            case Step.Embedding s -> narrow(differences, read, write);
        };
    }

    /**
     * Carries a difference along a whole path to the observable.
     *
     * @param read where the last step of the path reads
     * @param differences [m*B,d] at {@code read}
     * @return [B,d] at {@code position}
     */
    public Tensor along(Path path, Span read, Tensor differences, int position, Reach reach, Arena arena) {
        Tensor carried = differences;
        Span from = read;
        for (int i = path.steps().size() - 1; i >= 0; i--) {
            Span to = i == 0 ? Span.of(position) : span(path.steps().get(i - 1), reach, position);
            carried = through(path.steps().get(i), from, to, carried, arena);
            from = to;
        }
        return carried;
    }

    /** Where a step reads, of the tokens that matter to the observable. */
    static Span span(Step step, Reach reach, int position) {
        return reach == Reach.ALL ? new Span(0, position + 1) : Span.of(step.token());
    }

    private static Tensor narrow(Tensor differences, Span read, Span write) {
        int batch = differences.size(0) / read.size();
        int first = (write.from() - read.from()) * batch;
        return differences.slice(0, first, first + write.size() * batch);
    }

    private Tensor mlp(Step.Mlp step, Span span, Tensor differences, Arena arena) {
        Block block = model.block(step.layer());
        Tensor x = CleanRows.append(kernels, differences, rows(pair.clean(), step.reads(model), span), arena);
        return CleanRows.subtract(kernels, MlpRows.forward(kernels, block, x, arena), span.size(), arena);
    }
}

package obsprop.weights.train;

import java.lang.foreign.Arena;
import java.util.Arrays;
import obsprop.kernel.Kernels;
import obsprop.kernel.NormRule;
import obsprop.kernel.Write;
import obsprop.model.ActivationCache;
import obsprop.model.Batch;
import obsprop.model.Transformer;
import obsprop.model.layer.Attention;
import obsprop.model.layer.Block;
import obsprop.model.layer.Linear;
import obsprop.model.layer.Mlp;
import obsprop.model.layer.Rules;
import obsprop.model.layer.SequentialBlock;
import obsprop.tensor.Tensor;

/**
 * Forward and full backward pass over one batch: the mean next-token cross-entropy and its gradient with respect to
 * every parameter. Each layer's VJP gives the cotangents; a weight's gradient is their product with the layer's input.
 */
public final class GradientPass {
    private static final int LOGIT_ROWS = 512;

    private final Transformer model;
    private final Kernels kernels;
    private final Parameters parameters;

    /**
     * @param model built on the tensors of {@code parameters}
     * @throws IllegalArgumentException if the model has parts whose gradients are not implemented
     */
    public GradientPass(Transformer model, Parameters parameters) {
        this.model = model;
        this.kernels = model.kernels();
        this.parameters = parameters;
        boolean covered = model.blocks().stream().allMatch(GradientPass::covers)
                && model.unembedding().projection().isEmpty() && !model.unembedding().capped()
                && model.embedding().projection().isEmpty();
        if (!covered) {
            throw new IllegalArgumentException("training covers models of sequential pre-norm blocks without query-key"
                    + " norms, soft caps or projections around the embedding; not " + model.config().family());
        }
    }

    private static boolean covers(Block block) {
        return block instanceof SequentialBlock
                && block.attentionOutput().isIdentity()
                && block.mlpOutput().isIdentity()
                && block.attention().queryKeyNorm().isEmpty();
    }

    /**
     * Adds the gradients of the mean loss to those of the parameters.
     *
     * @param targets the token that each row predicts, or {@link CrossEntropy#NO_TARGET}
     * @return the mean loss over the predictions, in nats
     */
    public double run(Batch batch, int[] targets) {
        try (ActivationCache cache = model.forward(batch); Arena arena = Arena.ofShared()) {
            return new Pass(cache, batch, arena).run(targets);
        }
    }

    /** One batch on its way back. */
    private final class Pass {
        private final ActivationCache cache;
        private final Batch batch;
        private final LinearGradient linear;
        private final NormGradient norm;
        private final Block.Cotangents scratch;
        /** Cotangent of the residual stream, [N,d]. */
        private final Tensor d;
        /** A sublayer's normed input, computed again. */
        private final Tensor normed;
        private final Tensor stats;

        Pass(ActivationCache cache, Batch batch, Arena arena) {
            int n = batch.rows();
            this.cache = cache;
            this.batch = batch;
            linear = new LinearGradient(kernels, parameters, arena, n);
            norm = new NormGradient(parameters, linear);
            scratch = Block.Cotangents.allocate(kernels, arena, n, model.block(0));
            d = kernels.allocate(arena, n, model.config().dModel());
            normed = kernels.allocate(arena, n, model.config().dModel());
            stats = kernels.allocate(arena, n, 2);
        }

        double run(int[] targets) {
            double loss = head(targets);
            for (int layer = model.blocks().size() - 1; layer >= 0; layer--) {
                block(layer);
            }
            embedding();
            return loss;
        }

        /** {@code logits = head(finalNorm(x))} and the loss on them, some rows at a time. */
        private double head(int[] targets) {
            Tensor x = cache.residual(model.blocks().size());
            Tensor dNormed = scratch.dNormed();
            Linear head = model.unembedding().head();
            model.finalNorm().forward(kernels, x, normed, stats);
            long predictions = Arrays.stream(targets).filter(t -> t != CrossEntropy.NO_TARGET).count();
            double sum = 0;
            try (Arena arena = Arena.ofShared()) {
                Tensor room = kernels.allocate(arena, Math.min(LOGIT_ROWS, targets.length), head.outputs());
                for (int first = 0; first < targets.length; first += LOGIT_ROWS) {
                    int end = Math.min(targets.length, first + LOGIT_ROWS);
                    Tensor logits = room.slice(0, 0, end - first);
                    Tensor rows = normed.slice(0, first, end);
                    head.forward(kernels, rows, logits, Write.OVERWRITE);
                    sum += CrossEntropy.inPlace(
                            logits, Arrays.copyOfRange(targets, first, end), 1.0 / predictions);
                    linear.add(head, logits, rows);
                    head.vjp(kernels, logits, dNormed.slice(0, first, end), Write.OVERWRITE);
                }
            }
            norm.add(model.finalNorm(), dNormed, x, stats);
            model.finalNorm().vjp(kernels, dNormed, x, stats, NormRule.EXACT, d, Write.OVERWRITE);
            return sum / predictions;
        }

        private void block(int layer) {
            Block block = model.block(layer);
            Tensor x = cache.residual(layer);
            Block.State state = cache.state(layer);
            Block.VjpPass pass = new Block.VjpPass(cache.segments(), state, scratch, Rules.EXACT);
            down(block.mlp(), state.mlp());
            block.vjpToMiddle(kernels, pass, x, d);
            block.mlpInput().forward(kernels, state.middle(), normed, stats);
            up(block.mlp());
            norm.add(block.mlpInput(), scratch.dNormed(), state.middle(), stats);
            linear.add(block.attention().output(), d, state.attention().mixed());
            block.vjpToInput(kernels, pass, x, d);
            block.attentionInput().forward(kernels, x, normed, stats);
            projection(block.attention());
            norm.add(block.attentionInput(), scratch.dNormed(), x, stats);
        }

        /** Before the VJP, while d is still the cotangent of the MLP's output. */
        private void down(Mlp mlp, Mlp.State state) {
            switch (mlp) {
                case Mlp.Plain plain -> kernels.activation(plain.f(), state.gate(), state.hidden());
                case Mlp.Gated gated -> kernels.gated(gated.f(), state.gate(), state.up(), state.hidden());
            }
            linear.add(mlp.down(), d, state.hidden());
        }

        private void up(Mlp mlp) {
            switch (mlp) {
                case Mlp.Plain plain -> linear.add(plain.up(), scratch.mlp().dUp(), normed);
                case Mlp.Gated gated -> {
                    linear.add(gated.gate(), scratch.mlp().dGate(), normed);
                    linear.add(gated.up(), scratch.mlp().dUp(), normed);
                }
            }
        }

        private void projection(Attention attention) {
            Tensor dProjected = scratch.attention().dProjected();
            int column = 0;
            for (Linear part : attention.projection().parts()) {
                linear.add(part, dProjected.slice(1, column, column + part.outputs()), normed);
                column += part.outputs();
            }
        }

        /** {@code x = scale * E[token] + P[position]}: rows of d are added to the rows that were gathered. */
        private void embedding() {
            var embedding = model.embedding();
            scatter(batch.tokenIds(), embedding.scale(), parameters.gradientOf(embedding.tokens()));
            embedding.positions().ifPresent(
                    positions -> scatter(batch.segments().positions(), 1, parameters.gradientOf(positions)));
        }

        private void scatter(int[] rows, double scale, Tensor table) {
            for (int r = 0; r < rows.length; r++) {
                kernels.addScaled(scale, d.slice(0, r, r + 1), table.slice(0, rows[r], rows[r] + 1));
            }
        }
    }
}

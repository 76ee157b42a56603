package obsprop.model;

import java.lang.foreign.Arena;
import java.util.List;
import java.util.Optional;
import java.util.stream.IntStream;
import obsprop.kernel.Kernels;
import obsprop.kernel.NormRule;
import obsprop.kernel.Segments;
import obsprop.kernel.Write;
import obsprop.model.layer.Block;
import obsprop.model.layer.Embedding;
import obsprop.model.layer.Norm;
import obsprop.model.layer.PositionRows;
import obsprop.model.layer.StreamNormBlock;
import obsprop.model.layer.Unembedding;
import obsprop.tensor.Tensor;

/**
 * A causal language model: embedding, blocks, final norm, unembedding. Only wires the layers. Immutable and safe for
 * concurrent passes; closing it frees the weights.
 */
public final class Transformer implements AutoCloseable {
    private final ModelConfig config;
    private final Kernels kernels;
    private final Arena weights;
    private final Embedding embedding;
    private final List<Block> blocks;
    private final Norm finalNorm;
    private final Unembedding unembedding;

    /** @param weights owns the memory of the parameters; closed with the model */
    public Transformer(
            ModelConfig config, Kernels kernels, Arena weights,
            Embedding embedding, List<Block> blocks, Norm finalNorm, Unembedding unembedding) {
        this.config = config;
        this.kernels = kernels;
        this.weights = weights;
        this.embedding = embedding;
        this.blocks = List.copyOf(blocks);
        this.finalNorm = finalNorm;
        this.unembedding = unembedding;
    }

    /** The same weights, computed with by other kernels, which must be able to read them; to be closed before this. */
    public Transformer on(Kernels others) {
        return new Transformer(config, others, Arena.ofShared(), embedding, blocks, finalNorm, unembedding);
    }

    public ModelConfig config() {
        return config;
    }

    public Kernels kernels() {
        return kernels;
    }

    public Embedding embedding() {
        return embedding;
    }

    public List<Block> blocks() {
        return blocks;
    }

    public Block block(int layer) {
        return blocks.get(layer);
    }

    public Norm finalNorm() {
        return finalNorm;
    }

    public Unembedding unembedding() {
        return unembedding;
    }

    /**
     * Whether components write to the stream directly, so that direct effects (attribution, head patching, paths) are
     * defined. Not so where the stream itself is normalised (the post-norm OPT form).
     */
    public boolean hasDirectEffects() {
        return blocks.stream().noneMatch(StreamNormBlock.class::isInstance);
    }

    /** @throws IllegalArgumentException if block {@code layer} has no point between attention and MLP */
    public void requireMiddle(int layer) {
        if (!block(layer).hasMiddle()) {
            throw new IllegalArgumentException("block " + layer + " runs attention and MLP in parallel: there is no point"
                    + " of the residual stream between them");
        }
    }

    /** Room for passes over prompts of these lengths; see {@link #forward(Batch, ActivationCache)}. */
    public ActivationCache allocate(Segments segments, Keep keep, int stopLayer) {
        if (stopLayer < 0 || stopLayer > config.nLayers()) {
            throw new IllegalArgumentException(
                    "stop layer " + stopLayer + " is not in 0.." + config.nLayers());
        }
        return new ActivationCache(this, segments, keep, stopLayer, Point.INPUT, Optional.empty());
    }

    /**
     * Room for full passes over prompts of one length that keep every value, to be read at one position alone, for instance
     * the last: the last block's MLP runs for these rows only, where it does not stand beside attention, and
     * cotangents may enter the final residual stream there only. Nothing else depends on the other rows.
     *
     * @throws IllegalArgumentException if the lengths differ, or no prompt has such a position
     */
    public ActivationCache allocateToRead(Segments segments, int position) {
        Optional<PositionRows> rows = PositionRows.of(segments, IntStream.of(position));
        if (position < 0 || position >= segments.longest() || rows.isEmpty()) {
            throw new IllegalArgumentException("position " + position + " of each of " + segments.count() + " prompts of "
                    + segments.rows() + " tokens, the longest of " + segments.longest() + ": all must be as long and have it");
        }
        return new ActivationCache(this, segments, Keep.EVERYTHING, config.nLayers(), Point.INPUT, rows);
    }

    /**
     * Room for passes that end between attention and MLP of a block, for what a listener sees on the way: the residual
     * stream entering that block is what they keep.
     */
    public ActivationCache allocateToMiddle(Segments segments, int layer) {
        requireMiddle(layer);
        return new ActivationCache(this, segments, Keep.LAST, layer, Point.MIDDLE, Optional.empty());
    }

    /** A full forward pass that keeps every value the VJPs need. */
    public ActivationCache forward(Batch batch) {
        return forward(batch, Keep.EVERYTHING, config.nLayers());
    }

    /** A forward pass through the first {@code stopLayer} blocks. The caller closes the result. */
    public ActivationCache forward(Batch batch, Keep keep, int stopLayer) {
        check(batch);
        ActivationCache cache = allocate(batch.segments(), keep, stopLayer);
        try {
            cache.fill(batch.tokenIds(), ActivationCache.NOBODY);
            return cache;
        } catch (RuntimeException | Error e) {
            cache.close();
            throw e;
        }
    }

    /** A forward pass into a cache that {@link #allocate} made for prompts of the same lengths: allocates nothing. */
    public void forward(Batch batch, ActivationCache cache) {
        forward(batch, cache, ActivationCache.NOBODY);
    }

    /** The same, showing the residual stream at every site up to the stop layer, from the lowest to the deepest. */
    public void forward(Batch batch, ActivationCache cache, ActivationCache.Listener listener) {
        check(batch);
        if (cache.model() != this || !cache.segments().equals(batch.segments())) {
            throw new IllegalArgumentException("the cache was made for another model or for prompts of other lengths");
        }
        cache.fill(batch.tokenIds(), listener);
    }

    private void check(Batch batch) {
        for (int id : batch.tokenIds()) {
            if (id < 0 || id >= config.dVocab()) {
                throw new IllegalArgumentException("token " + id + " is not in the vocabulary of " + config.dVocab());
            }
        }
        if (batch.segments().longest() > config.maxPositions()) {
            throw new IllegalArgumentException("a prompt of " + batch.segments().longest()
                    + " tokens is longer than the model's context of " + config.maxPositions());
        }
    }

    /** Logits [rows.length, V] of some rows of a full pass, living as long as {@code to}. */
    public Tensor logits(ActivationCache cache, int[] rows, Arena to) {
        Tensor logits = kernels.allocate(to, rows.length, config.dVocab());
        try (Arena arena = Arena.ofShared()) {
            Tensor x = kernels.allocate(arena, rows.length, config.dModel());
            Tensor residual = cache.residual(config.nLayers());
            for (int i = 0; i < rows.length; i++) {
                kernels.copy(residual.slice(0, rows[i], rows[i] + 1), x.slice(0, i, i + 1));
            }
            unembed(x, logits);
        }
        return logits;
    }

    /** Logits of every row. */
    public Tensor logits(ActivationCache cache, Arena to) {
        Tensor logits = kernels.allocate(to, cache.segments().rows(), config.dVocab());
        try (Arena arena = Arena.ofShared()) {
            Tensor x = kernels.allocate(arena, cache.segments().rows(), config.dModel());
            kernels.copy(cache.residual(config.nLayers()), x);
            unembed(x, logits);
        }
        return logits;
    }

    /** {@code logits = head(finalNorm(x))}: x [N,d] is overwritten by its norm, logits [N,V]. */
    public void unembed(Tensor x, Tensor logits) {
        try (Arena arena = Arena.ofShared()) {
            Tensor stats = kernels.allocate(arena, x.size(0), 2);
            finalNorm.forward(kernels, x, x, stats);
            unembedding.forward(kernels, x, logits);
        }
    }

    /**
     * Transposes the final norm at one point of the final residual stream.
     *
     * @param x [1,d], the linearisation point
     * @param dy [K,d]
     * @param dx [K,d], overwritten
     */
    public void finalNormVjp(Tensor x, Tensor dy, NormRule rule, Tensor dx) {
        try (Arena arena = Arena.ofShared()) {
            Tensor stats = kernels.allocate(arena, 1, 2);
            finalNorm.forward(kernels, x, kernels.allocate(arena, 1, config.dModel()), stats);
            finalNorm.vjp(kernels, dy, x, stats, rule, dx, Write.OVERWRITE);
        }
    }

    @Override
    public void close() {
        weights.close();
    }
}

package obsprop.analysis.patching;

import java.lang.foreign.Arena;
import obsprop.analysis.runs.CachedRun;
import obsprop.analysis.runs.PromptPair;
import obsprop.kernel.AttentionSpec;
import obsprop.kernel.Kernels;
import obsprop.kernel.Segments;
import obsprop.kernel.Write;
import obsprop.model.ActivationCache;
import obsprop.model.Batch;
import obsprop.model.Point;
import obsprop.model.Transformer;
import obsprop.model.layer.Attention;
import obsprop.model.layer.Block;
import obsprop.model.layer.Unembedding;
import obsprop.propagation.Observable;
import obsprop.propagation.Path;
import obsprop.propagation.Site;
import obsprop.propagation.Step;
import obsprop.tensor.Tensor;

/**
 * Path patching the slow way, to check the fast one: the prompts are run again from their tokens, each patched component
 * is recomputed over the whole prompt, and the stream is summed up anew from all components, up to all logits. It shares
 * the layers with the fast way, but none of its arithmetic: no cached activations, no differences, no single rows.
 */
public final class PatchOracle implements AutoCloseable {
    private final PromptPair pair;
    private final Transformer model;
    private final Kernels kernels;
    private final Segments segments;
    private final Arena arena = Arena.ofShared();
    private final Written written;

    /** What every component writes to the stream, [T,d] each. */
    private record Written(Tensor embedding, Tensor[] attention, Tensor[] mlp) {
        Written with(Step step, Tensor output) {
            Written copy = new Written(
                    step instanceof Step.Embedding ? output : embedding, attention.clone(), mlp.clone());
            switch (step) {
                case Step.Heads s -> copy.attention[s.layer()] = output;
                case Step.Mlp s -> copy.mlp[s.layer()] = output;
                case Step.Embedding s -> {}
            }
            return copy;
        }
    }

    /** Runs the clean prompt, component by component. */
    public PatchOracle(PromptPair pair) {
        this.pair = pair;
        model = pair.model();
        kernels = model.kernels();
        segments = new Segments(pair.clean().length());
        try {
            written = run();
        } catch (RuntimeException | Error e) {
            arena.close();
            throw e;
        }
    }

    private Written run() {
        int layers = model.config().nLayers();
        Written written = new Written(rows(), new Tensor[layers], new Tensor[layers]);
        model.embedding().forward(kernels, tokens(pair.clean()), segments, written.embedding);
        for (int l = 0; l < layers; l++) {
            Tensor x = stream(written, l, Point.INPUT);
            written.attention[l] = attention(l, run(l, x).mixed());
            written.mlp[l] = mlp(l, model.block(l).hasMiddle() ? stream(written, l, Point.MIDDLE) : x);
        }
        return written;
    }

    private static int[] tokens(CachedRun run) {
        int[] tokens = new int[run.length()];
        System.arraycopy(run.cache().tokenIds(), run.row(0), tokens, 0, tokens.length);
        return tokens;
    }

    private Tensor rows() {
        return kernels.allocate(arena, segments.rows(), model.config().dModel());
    }

    /** The residual stream at a point of a layer, summed up from what was written before it. */
    private Tensor stream(Written parts, int layer, Point point) {
        Tensor sum = rows();
        kernels.copy(parts.embedding, sum);
        for (int l = 0; l < layer; l++) {
            kernels.addScaled(1, parts.attention[l], sum);
            kernels.addScaled(1, parts.mlp[l], sum);
        }
        if (point == Point.MIDDLE) {
            kernels.addScaled(1, parts.attention[layer], sum);
        }
        return sum;
    }

    private Attention.State run(int layer, Tensor x) {
        Block block = model.block(layer);
        Tensor normed = rows();
        Attention.State state = block.attention().allocate(kernels, arena, segments.rows());
        block.attentionInput().forward(kernels, x, normed, stats());
        block.attention().forward(kernels, normed, segments, state, rows(), Write.OVERWRITE);
        return state;
    }

    private Tensor stats() {
        return kernels.allocate(arena, segments.rows(), 2);
    }

    /** What attention writes when its heads' weighted values are {@code mixed}. */
    private Tensor attention(int layer, Tensor mixed) {
        Block block = model.block(layer);
        Tensor out = rows();
        block.attention().output().forward(kernels, mixed, out, Write.OVERWRITE);
        block.attentionOutput().forward(kernels, out, out, stats());
        return out;
    }

    private Tensor mlp(int layer, Tensor x) {
        Block block = model.block(layer);
        Tensor out = rows();
        Tensor normed = rows();
        var state = block.mlp().allocate(
                kernels, arena, segments.rows(), kernels.allocate(arena, segments.rows(), block.mlp().width()));
        block.mlpInput().forward(kernels, x, normed, stats());
        block.mlp().forward(kernels, normed, state, out, Write.OVERWRITE);
        block.mlpOutput().forward(kernels, out, out, stats());
        return out;
    }

    /** The effect of patching a path, as {@link PathPatching#effect} defines it. */
    public double effect(Readout readout, PatchMode mode, Path path, Reach reach) {
        int position = pair.clean().position(readout.position());
        Path resolved = path.resolve(model, pair.clean().length(), position);
        int layers = model.config().nLayers();
        double clean = value(readout, stream(written, layers, Point.INPUT), position);
        if (resolved.steps().isEmpty()) {
            return clean - value(readout, corrupted(new Site(layers, Point.INPUT, position)), position);
        }
        Written patched = null;
        for (Step step : resolved.steps().reversed()) {
            Tensor output = patched == null
                    ? rerun(step, corrupted(step.reads(model)), mode, reach)
                    : rerun(step, stream(patched, step.reads(model).layer(), step.reads(model).point()), mode, reach);
            patched = written.with(step, output);
        }
        return clean - value(readout, stream(patched, layers, Point.INPUT), position);
    }

    /** The corrupted residual stream at a site. */
    private Tensor corrupted(Site site) {
        Tensor out = rows();
        if (pair.corrupted() instanceof CachedRun run) {
            try (ActivationCache cache = model.forward(Batch.of(tokens(run)))) {
                kernels.copy(cache.residual(site.layer(), site.point()), out);
            }
        } else {
            kernels.copy(pair.corrupted().residual(site.layer(), site.point()), out);
        }
        return out;
    }

    /** What a step's sublayer writes when that step reads {@code patched} at its tokens, the clean stream elsewhere. */
    private Tensor rerun(Step step, Tensor patched, PatchMode mode, Reach reach) {
        Site site = step.reads(model);
        Tensor clean = stream(written, site.layer(), site.point());
        Tensor x = rows();
        kernels.copy(clean, x);
        if (reach == Reach.ALL) {
            kernels.copy(patched, x);
        } else {
            int t = step.token();
            kernels.copy(patched.slice(0, t, t + 1), x.slice(0, t, t + 1));
        }
        return switch (step) {
            case Step.Heads s -> heads(s, clean, x, mode);
            case Step.Mlp s -> mlp(s.layer(), x);
            case Step.Embedding s -> x;
        };
    }

    private Tensor heads(Step.Heads step, Tensor clean, Tensor x, PatchMode mode) {
        Attention attention = model.block(step.layer()).attention();
        Attention.State before = run(step.layer(), clean);
        Attention.State after = run(step.layer(), x);
        if (mode == PatchMode.OV_ONLY) {
            kernels.attention(before.inputs().q(), before.inputs().k(), after.inputs().v(), attention.spec(), segments,
                    after.inputs().z(), kernels.allocate(arena, segments.rows(), attention.nHeads()));
        }
        for (int head : step.heads(attention.nHeads())) {
            kernels.copy(after.inputs().z().select(1, head), before.inputs().z().select(1, head));
        }
        return attention(step.layer(), before.mixed());
    }

    private double value(Readout readout, Tensor stream, int position) {
        Observable n = readout.observable();
        Tensor x = kernels.allocate(arena, 1, model.config().dModel());
        kernels.copy(stream.slice(0, position, position + 1), x);
        Tensor logits = kernels.allocate(arena, 1, model.config().dVocab());
        if (readout.finalNorm() == FinalNorm.ON) {
            model.unembed(x, logits);
        } else {
            Unembedding u = model.unembedding();
            new Unembedding(u.projection(), u.head(), AttentionSpec.NO_CAP).forward(kernels, x, logits);
        }
        Tensor host = Tensor.allocate(arena, logits.dtype(), 1, model.config().dVocab());
        kernels.copy(logits, host);
        return n.value(host.select(0, 0));
    }

    @Override
    public void close() {
        arena.close();
    }
}

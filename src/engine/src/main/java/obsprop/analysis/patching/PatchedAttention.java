package obsprop.analysis.patching;

import java.lang.foreign.Arena;
import obsprop.analysis.runs.CachedRun;
import obsprop.analysis.runs.Run;
import obsprop.kernel.Kernels;
import obsprop.kernel.Transpose;
import obsprop.kernel.Write;
import obsprop.model.Point;
import obsprop.model.layer.Attention;
import obsprop.model.layer.Norm;
import obsprop.tensor.Tensor;

/** What heads of one layer of a clean run add to it when they read it with differences. */
final class PatchedAttention {
    private final CachedRun clean;
    private final PatchMode mode;
    private final Kernels kernels;
    private final int layer;
    private final Attention attention;

    PatchedAttention(CachedRun clean, int layer, PatchMode mode) {
        this.clean = clean;
        this.mode = mode;
        this.layer = layer;
        kernels = clean.model().kernels();
        attention = clean.model().block(layer).attention();
    }

    /**
     * The difference that some heads make together.
     *
     * @param differences of the residual stream they read, at {@code read}: [m*B,d], token by token
     * @return their difference at {@code write}: [w*B,d], token by token
     */
    Tensor through(int[] heads, Span read, Span write, Tensor differences, Arena arena) {
        Tensor x = clean.residual(layer, Point.INPUT).slice(0, read.from(), read.to());
        Tensor rows = CleanRows.append(kernels, differences, x, arena);
        clean.model().block(layer).attentionInput().forward(
                kernels, rows, rows, kernels.allocate(arena, rows.size(0), 2));
        int batch = differences.size(0) / read.size();
        Tensor out = kernels.allocate(arena, write.size() * batch, rows.size(1));
        Mixing mixing = mode == PatchMode.FULL
                ? new OwnPattern(project(rows.slice(0, 0, differences.size(0)), read, arena), read, write, batch)
                : new CleanPattern(rows, clean.pattern(layer, arena), read, write, batch);
        for (int head : heads) {
            try (Arena scratch = Arena.ofShared()) {
                attention.output(head).forward(kernels, mixing.of(head, scratch), out, Write.ACCUMULATE);
            }
        }
        return throughOutputNorm(clean, layer, write, out, arena);
    }

    private Attention.State project(Tensor normed, Span read, Arena arena) {
        int batch = normed.size(0) / read.size();
        int[] positions = new int[normed.size(0)];
        for (int r = 0; r < positions.length; r++) {
            positions[r] = read.from() + r / batch;
        }
        Attention.State state = attention.allocate(kernels, arena, normed.size(0));
        attention.project(kernels, normed, positions, clean.length(), state);
        return state;
    }

    /** Differences of a head's weighted values. */
    private interface Mixing {
        /** [w*B,D], token by token. */
        Tensor of(int head, Arena arena);
    }

    /** {@code sum_j A_clean[t,j] (v'[j] - v[j])}. */
    private final class CleanPattern implements Mixing {
        private final Tensor normed;
        private final Tensor pattern;
        private final Span read;
        private final Span write;
        private final int batch;

        CleanPattern(Tensor normed, Tensor pattern, Span read, Span write, int batch) {
            this.normed = normed;
            this.pattern = pattern.slice(1, write.from(), write.to()).slice(2, read.from(), read.to());
            this.read = read;
            this.write = write;
            this.batch = batch;
        }

        @Override
        public Tensor of(int head, Arena arena) {
            int width = attention.dHead();
            Tensor values = kernels.allocate(arena, normed.size(0), width);
            attention.value(head).forward(kernels, normed, values, Write.OVERWRITE);
            Tensor dValues = CleanRows.subtract(kernels, values, read.size(), arena);
            Tensor dMixed = kernels.allocate(arena, write.size(), batch * width);
            kernels.gemm(pattern.select(0, head), Transpose.NO, dValues.reshape(read.size(), batch * width),
                    Transpose.NO, dMixed, Write.OVERWRITE);
            return dMixed.reshape(write.size() * batch, width);
        }
    }

    /** The head run again over made-up prompts: the clean one with the changed rows in it. */
    private final class OwnPattern implements Mixing {
        private final Kernels.AttentionSaved changed;
        private final Span read;
        private final Span write;
        private final int batch;

        OwnPattern(Attention.State changed, Span read, Span write, int batch) {
            this.changed = changed.inputs();
            this.read = read;
            this.write = write;
            this.batch = batch;
        }

        @Override
        public Tensor of(int head, Arena arena) {
            Run.Heads kept = clean.heads(layer);
            int group = attention.group(head);
            int width = attention.dHead();
            var prompts = new MadeUpPrompts(kernels, attention.spec(), batch, write.to(), arena);
            Tensor mixed = prompts.mixed(
                    changed(prompts, kept.inputs().q(), changed.q(), head),
                    changed(prompts, kept.inputs().k(), changed.k(), group),
                    changed(prompts, kept.inputs().v(), changed.v(), group));
            Tensor out = kernels.allocate(arena, write.size() * batch, width);
            for (int i = 0; i < write.size(); i++) {
                kernels.copy(mixed.select(1, write.from() + i), out.slice(0, i * batch, (i + 1) * batch));
            }
            Tensor before = kept.mixed().slice(0, write.from(), write.to()).slice(1, head * width, (head + 1) * width);
            CleanRows.subtract(kernels, before, out, arena);
            return out;
        }

        private Tensor changed(MadeUpPrompts prompts, Tensor cleanHeads, Tensor changedHeads, int head) {
            Tensor rows = prompts.repeat(cleanHeads.slice(1, head, head + 1));
            for (int i = 0; i < read.size() && read.from() + i < write.to(); i++) {
                kernels.copy(changedHeads.select(1, head).slice(0, i * batch, (i + 1) * batch),
                        rows.select(2, 0).select(1, read.from() + i));
            }
            return rows;
        }
    }

    /**
     * Where a norm follows attention: {@code norm(sum + difference) - norm(sum)}, the other heads being clean.
     *
     * @param differences [w*B,d] of attention's sum at {@code write}, token by token
     */
    static Tensor throughOutputNorm(CachedRun clean, int layer, Span write, Tensor differences, Arena arena) {
        Norm norm = clean.model().block(layer).attentionOutput();
        if (norm.isIdentity()) {
            return differences;
        }
        Tensor sums = clean.attentionSum(layer).slice(0, write.from(), write.to());
        return throughNorm(clean.model().kernels(), norm, sums, differences, arena);
    }

    /** {@code norm(sum + difference) - norm(sum)}, for m sums [m,d] and m*B differences, B after each other for a sum. */
    static Tensor throughNorm(Kernels kernels, Norm norm, Tensor sums, Tensor differences, Arena arena) {
        Tensor rows = CleanRows.append(kernels, differences, sums, arena);
        norm.forward(kernels, rows, rows, kernels.allocate(arena, rows.size(0), 2));
        return CleanRows.subtract(kernels, rows, sums.size(0), arena);
    }
}

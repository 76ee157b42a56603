package obsprop.analysis.patching;

import java.lang.foreign.Arena;
import obsprop.analysis.runs.PromptPair;
import obsprop.analysis.runs.Rows;
import obsprop.kernel.Kernels;
import obsprop.kernel.Write;
import obsprop.model.layer.Attention;
import obsprop.tensor.Tensor;

/** What each attention head adds to the clean residual stream when it reads the corrupted run at one token instead. */
public final class HeadDifferences {
    /** Elements of the queries of the prompts that full patching of single tokens makes up at once. */
    private static final long ELEMENTS = 1L << 22;

    private final PromptPair pair;
    private final PatchMode mode;
    private final Kernels kernels;

    public HeadDifferences(PromptPair pair, PatchMode mode) {
        this.pair = pair;
        this.mode = mode;
        kernels = pair.model().kernels();
    }

    /**
     * The differences that the heads of a layer make at one position where they read the corrupted run at one token
     * only.
     *
     * @return [H * tokens.size(), d], a head's tokens one after the other
     */
    public Tensor byToken(int layer, int position, Span tokens, Arena arena) {
        Tensor dMixed = mode == PatchMode.FULL
                ? mixedByToken(layer, position, tokens, arena)
                : valuesByToken(layer, position, tokens, arena);
        Attention attention = pair.model().block(layer).attention();
        int m = tokens.size();
        int width = attention.dHead();
        Tensor rows = kernels.allocate(arena, attention.nHeads() * m, pair.model().config().dModel());
        for (int h = 0; h < attention.nHeads(); h++) {
            attention.output(h).forward(kernels, dMixed.slice(1, h * width, (h + 1) * width),
                    rows.slice(0, h * m, (h + 1) * m), Write.OVERWRITE);
        }
        return PatchedAttention.throughOutputNorm(pair.clean(), layer, Span.of(position), rows, arena);
    }

    /** {@code A_h[position,j] * (v_corrupted[j] - v_clean[j])} as [m, H D]. */
    private Tensor valuesByToken(int layer, int position, Span tokens, Arena arena) {
        Attention attention = pair.model().block(layer).attention();
        Tensor cleanValues = pair.clean().heads(layer).inputs().v();
        Tensor corruptedValues = pair.corrupted().heads(layer).inputs().v();
        int width = attention.dHead();
        double[][] pattern = Rows.matrix(kernels, pair.clean().pattern(layer, arena).select(1, position));
        Tensor out = kernels.allocate(arena, tokens.size(), attention.nHeads() * width);
        for (int h = 0; h < attention.nHeads(); h++) {
            int g = attention.group(h);
            for (int i = 0; i < tokens.size(); i++) {
                int j = tokens.from() + i;
                Tensor row = out.slice(0, i, i + 1).slice(1, h * width, (h + 1) * width);
                kernels.addScaled(pattern[h][j], corruptedValues.select(1, g).slice(0, j, j + 1), row);
                kernels.addScaled(-pattern[h][j], cleanValues.select(1, g).slice(0, j, j + 1), row);
            }
        }
        return out;
    }

    /** The same with each head's own pattern: one made-up prompt for each token, clean but for that token. */
    private Tensor mixedByToken(int layer, int position, Span tokens, Arena arena) {
        Attention attention = pair.model().block(layer).attention();
        int width = attention.nHeads() * attention.dHead();
        Tensor out = kernels.allocate(arena, tokens.size(), width);
        int chunk = (int) Math.max(1, ELEMENTS / ((long) width * (position + 1)));
        for (int from = tokens.from(); from < tokens.to(); from += chunk) {
            Span some = new Span(from, Math.min(tokens.to(), from + chunk));
            try (Arena scratch = Arena.ofShared()) {
                Tensor mixed = patchedOneByOne(layer, position, some, scratch);
                kernels.copy(mixed, out.slice(0, from - tokens.from(), some.to() - tokens.from()));
            }
        }
        CleanRows.subtract(
                kernels, pair.clean().heads(layer).mixed().slice(0, position, position + 1), out, arena);
        return out;
    }

    private Tensor patchedOneByOne(int layer, int position, Span tokens, Arena arena) {
        Attention attention = pair.model().block(layer).attention();
        var clean = pair.clean().heads(layer).inputs();
        var corrupted = pair.corrupted().heads(layer).inputs();
        int length = position + 1;
        var prompts = new MadeUpPrompts(kernels, attention.spec(), tokens.size(), length, arena);
        Tensor q = prompts.repeat(clean.q());
        Tensor k = prompts.repeat(clean.k());
        Tensor v = prompts.repeat(clean.v());
        for (int i = 0; i < tokens.size(); i++) {
            int j = tokens.from() + i;
            kernels.copy(corrupted.q().select(0, j), q.select(0, i).select(0, j));
            kernels.copy(corrupted.k().select(0, j), k.select(0, i).select(0, j));
            kernels.copy(corrupted.v().select(0, j), v.select(0, i).select(0, j));
        }
        return prompts.mixed(q, k, v).select(1, position);
    }
}

package obsprop.propagation.path;

import java.lang.foreign.Arena;
import java.util.Optional;
import obsprop.kernel.AttentionRule;
import obsprop.kernel.Kernels;
import obsprop.kernel.NormRule;
import obsprop.kernel.Write;
import obsprop.model.ActivationCache;
import obsprop.model.Transformer;
import obsprop.model.layer.Attention;
import obsprop.model.layer.Block;
import obsprop.model.layer.Norm;
import obsprop.propagation.PromptRun;
import obsprop.propagation.Step;
import obsprop.tensor.Tensor;

/** Pulls a direction back through heads of a layer, from the token where they write to the token they read. */
final class HeadsPull implements AutoCloseable {
    private final Transformer model;
    private final Kernels kernels;
    private final Arena arena = Arena.ofShared();
    private final Tensor blank;
    private final Tensor normed;
    private final Tensor stats;
    private final Tensor dOutput;
    private final Tensor dValue;
    private final Tensor dNormed;

    HeadsPull(Transformer model) {
        this.model = model;
        this.kernels = model.kernels();
        int d = model.config().dModel();
        blank = kernels.allocate(arena, 1, d);
        normed = kernels.allocate(arena, 1, d);
        stats = kernels.allocate(arena, 1, 2);
        dOutput = kernels.allocate(arena, 1, d);
        dValue = kernels.allocate(arena, 1, model.config().dHead());
        dNormed = kernels.allocate(arena, 1, d);
    }

    /**
     * Transposes {@code attentionOutput(sum of heads(attentionInput(x)))}: dx [1,d] at the token read, from y [1,d] at
     * the token {@code destination}.
     *
     * @param run the clean prompt; not needed by rules that use no activation
     */
    void pull(Step.Heads step, int destination, Tensor y, PathRules rules, Optional<PromptRun> run, Tensor dx) {
        Block block = model.block(step.layer());
        NormRule rule = rules.innerNorms();
        Norm after = block.attentionOutput();
        Tensor sum = run.isEmpty() || after.isIdentity()
                ? blank
                : run.get().attentionSum(step.layer(), destination);
        throughNorm(after, y, sum, rule, dOutput);
        if (rules.pattern() == PatternRule.ONE) {
            circuits(block.attention(), step, dNormed);
        } else {
            attention(block.attention(), step, destination, rules, run.orElseThrow(), dNormed);
        }
        throughNorm(block.attentionInput(), dNormed, run.map(r -> r.input(step)).orElse(blank), rule, dx);
    }

    /** Transposes {@code norm(x)} at one row. */
    private void throughNorm(Norm norm, Tensor dy, Tensor x, NormRule rule, Tensor dx) {
        norm.forward(kernels, x, normed, stats);
        norm.vjp(kernels, dy, x, stats, rule, dx, Write.OVERWRITE);
    }

    /** {@code sum over heads W_V[h]^T W_O[h]^T dOutput}. */
    private void circuits(Attention attention, Step.Heads step, Tensor out) {
        kernels.zero(out);
        for (int h : step.heads(attention.nHeads())) {
            attention.output(h).vjp(kernels, dOutput, dValue, Write.OVERWRITE);
            attention.value(h).vjp(kernels, dValue, out, Write.ACCUMULATE);
        }
    }

    /** The same through the pattern of the prompt: a VJP of the whole layer, from one row and some heads, to one row. */
    private void attention(
            Attention attention, Step.Heads step, int destination, PathRules rules, PromptRun run, Tensor out) {
        ActivationCache cache = run.cache();
        int rows = cache.segments().rows();
        int row = run.row(destination);
        AttentionRule rule = rules.pattern() == PatternRule.EXACT ? AttentionRule.EXACT : AttentionRule.FROZEN;
        try (Arena scratch = Arena.ofShared()) {
            Attention.Cotangents cotangents = attention.allocateCotangents(kernels, scratch, rows);
            Tensor dAll = kernels.allocate(scratch, rows, model.config().dModel());
            for (int h : step.heads(attention.nHeads())) {
                Tensor dMixed = cotangents.dMixedHeads().slice(0, row, row + 1).select(1, h);
                attention.output(h).vjp(kernels, dOutput, dMixed, Write.OVERWRITE);
            }
            attention.vjpOfMixed(kernels, cache.segments(), cache.state(step.layer()).attention(), cotangents, rule,
                    rules.innerNorms(), dAll);
            int source = run.row(step.token());
            kernels.copy(dAll.slice(0, source, source + 1), out);
        }
    }

    @Override
    public void close() {
        arena.close();
    }
}

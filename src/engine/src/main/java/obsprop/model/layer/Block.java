package obsprop.model.layer;

import java.lang.foreign.Arena;
import obsprop.kernel.Kernels;
import obsprop.kernel.Segments;
import obsprop.tensor.Tensor;

/**
 * One transformer block: how attention, MLP and norms are wired to the residual stream.
 *
 * <p>The VJP goes in two steps, from the block's output to the stream between attention and MLP ({@link #vjpToMiddle})
 * and from there to its input ({@link #vjpToInput}), so that cotangents can be injected and read between them. Both work
 * in place on the residual cotangent.
 */
public sealed interface Block permits SequentialBlock, ParallelBlock, StreamNormBlock {
    int layer();

    Attention attention();

    Mlp mlp();

    /** Where this block's attention reads: the norm on its input. */
    Norm attentionInput();

    /** The norm on attention's output before it is added. */
    Norm attentionOutput();

    /** The norm on the MLP's input. */
    Norm mlpInput();

    /** The norm on the MLP's output before it is added. */
    Norm mlpOutput();

    /** Whether there is a point of the stream between attention and MLP: not so in parallel blocks. */
    default boolean hasMiddle() {
        return true;
    }

    /**
     * What the forward pass leaves behind, for N rows.
     *
     * @param middle [N,d], the stream between attention and MLP; unused in parallel blocks
     * @param attentionSum [N,d], where a norm follows attention: the norm's input
     * @param mlpSum [N,d], where a norm follows the MLP: the norm's input
     * @param stats statistics of the four norms, [N,2] each
     */
    record State(
            Attention.State attention, Mlp.State mlp, Tensor middle, Tensor attentionSum, Tensor mlpSum, Stats stats) {
        /** What {@link Block#forwardFromMiddle} and {@link Block#vjpToMiddle} need for these rows alone. */
        public State fromMiddle(PositionRows rows) {
            return new State(attention, mlp.at(rows), rows.in(middle), attentionSum, rows.in(mlpSum), stats.fromMiddle(rows));
        }
    }

    /** Statistics (mean, rstd) of a block's norms, [N,2] each. */
    record Stats(Tensor attentionInput, Tensor attentionOutput, Tensor mlpInput, Tensor mlpOutput) {
        Stats fromMiddle(PositionRows rows) {
            return new Stats(attentionInput, attentionOutput, rows.in(mlpInput), rows.in(mlpOutput));
        }
    }

    /**
     * Scratch of the forward pass, shared by all layers.
     *
     * @param normed [N,d]
     * @param hidden [N,m]
     */
    record Scratch(Tensor normed, Tensor hidden) {
        /** For N = {@code rows}. */
        public static Scratch allocate(Kernels kernels, Arena arena, int rows, Block block) {
            return new Scratch(
                    kernels.allocate(arena, rows, block.attention().output().outputs()),
                    kernels.allocate(arena, rows, block.mlp().width()));
        }

        /** The same scratch for fewer rows. */
        public Scratch firstRows(int rows) {
            return new Scratch(normed.slice(0, 0, rows), hidden.slice(0, 0, rows));
        }
    }

    /**
     * Scratch of the VJP for R = K*N rows, shared by all layers.
     *
     * @param dOutput [R,d], cotangent of a sublayer's output
     * @param dNormed [R,d], cotangent of a sublayer's normed input
     */
    record Cotangents(Attention.Cotangents attention, Mlp.Cotangents mlp, Tensor dOutput, Tensor dNormed) {
        /** For R = {@code rows}. */
        public static Cotangents allocate(Kernels kernels, Arena arena, int rows, Block block) {
            int d = block.attention().output().outputs();
            return new Cotangents(
                    block.attention().allocateCotangents(kernels, arena, rows),
                    block.mlp().allocateCotangents(kernels, arena, rows),
                    kernels.allocate(arena, rows, d),
                    kernels.allocate(arena, rows, d));
        }

        /** The same scratch for fewer rows. */
        public Cotangents firstRows(int rows) {
            return new Cotangents(
                    attention.firstRows(rows), mlp.firstRows(rows), dOutput.slice(0, 0, rows), dNormed.slice(0, 0, rows));
        }
    }

    /** A VJP over this block: the state of its forward and the scratch of its VJP. */
    record VjpPass(Segments segments, State state, Cotangents scratch, Rules rules) {}

    /** Room for {@link State}; {@code scratch} lends the hidden activations. */
    default State allocate(Kernels kernels, Arena arena, int rows, Scratch scratch) {
        int d = attention().output().outputs();
        Tensor none = kernels.allocate(arena, 0, d);
        return new State(
                attention().allocate(kernels, arena, rows),
                mlp().allocate(kernels, arena, rows, scratch.hidden),
                hasMiddle() ? kernels.allocate(arena, rows, d) : none,
                keepsSums() || !attentionOutput().isIdentity() ? kernels.allocate(arena, rows, d) : none,
                keepsSums() || !mlpOutput().isIdentity() ? kernels.allocate(arena, rows, d) : none,
                new Stats(
                        kernels.allocate(arena, rows, 2),
                        kernels.allocate(arena, rows, 2),
                        kernels.allocate(arena, rows, 2),
                        kernels.allocate(arena, rows, 2)));
    }

    /** Whether norms stand on the stream itself, so that the sums before them must be kept. */
    default boolean keepsSums() {
        return false;
    }

    /** {@code y = block(x)}: x and y [N,d], different tensors; fills {@code state}. */
    void forward(Kernels kernels, Tensor x, Segments segments, State state, Scratch scratch, Tensor y);

    /**
     * The first half of {@link #forward}, from x [N,d] to the middle; fills its part of {@code state}. Not for blocks
     * without a middle.
     */
    void forwardToMiddle(Kernels kernels, Tensor x, Segments segments, State state, Scratch scratch);

    /**
     * The second half of {@link #forward}, from the middle that {@code state} holds to y [N,d]; fills the rest of
     * {@code state}, which may be {@link State#fromMiddle that of some rows}. Not for blocks without a middle.
     */
    void forwardFromMiddle(Kernels kernels, State state, Scratch scratch, Tensor y);

    /**
     * From the cotangent of the output to that of the middle, in place on d [K*N,d]. The pass's state may be
     * {@link State#fromMiddle that of some rows} where there is a middle; x is then not read.
     */
    void vjpToMiddle(Kernels kernels, VjpPass pass, Tensor x, Tensor d);

    /** From the cotangent of the middle to that of the input x [N,d], in place on d [K*N,d]. */
    void vjpToInput(Kernels kernels, VjpPass pass, Tensor x, Tensor d);
}

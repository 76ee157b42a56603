package obsprop.kernel.cuda;

import java.util.Arrays;
import obsprop.cuda.CudaDevice;
import obsprop.cuda.CudaFunction.Grid;
import obsprop.cuda.CudaPrecision;
import obsprop.kernel.AttentionRule;
import obsprop.kernel.AttentionSpec;
import obsprop.kernel.Kernels.AttentionCotangents;
import obsprop.kernel.Kernels.AttentionSaved;
import obsprop.kernel.Segments;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;

/**
 * Attention, its VJP and its pattern: on tensor cores where {@link FusedAttention} serves, otherwise of long prompts or few by
 * {@link LongAttention}, of many short ones by kernels of their own; see {@code kernels.cu} for how blocks share the work.
 */
final class AttentionLaunches implements AutoCloseable {
    /** {@code ROWS_PER_BLOCK}, {@code WARPS * LANES} and {@code MAX_WIDTH} of {@code kernels.cu}. */
    private static final int ROWS_PER_BLOCK = 16;

    private static final int THREADS = 128;
    private static final int MAX_WIDTH = 256;

    /** Mean length of prompts from which on {@link LongAttention} is always faster: it works on one prompt after the other. */
    private static final int LONG = 64;
    /** Of so few prompts it is faster at any length, */
    private static final int FEW = 2;
    /** but with so many cotangents its batches of small products are slower than our kernels, */
    private static final int SEVERAL = 8;
    /** up to so many. */
    private static final int MANY = 256;

    private final Launcher launcher;
    private final Transfers transfers;
    private final FusedAttention fusedAttention;
    private final LongAttention longAttention;
    private final IntTable parts;
    private final Scratch deltas;

    AttentionLaunches(CudaDevice device, Launcher launcher, Transfers transfers, RoundedOperand rounded, CudaPrecision precision) {
        this.launcher = launcher;
        this.transfers = transfers;
        fusedAttention = new FusedAttention(device, launcher, rounded, precision);
        longAttention = new LongAttention(device, launcher, precision);
        parts = new IntTable(device);
        deltas = new Scratch(device);
    }

    void forward(AttentionSaved in, AttentionSpec spec, Segments segments) {
        if (fusedAttention.serves(in, segments)) {
            fusedAttention.forward(in, spec, segments);
            return;
        }
        if (isBatched(segments, 1)) {
            longAttention.forward(in, spec, segments);
            return;
        }
        int[] table = parts(segments);
        launcher.begin();
        launcher.view(in.q()).view(in.k()).view(in.v());
        attention(launcher, in, spec, 1);
        launcher.arguments().add(parts.upload(table));
        launcher.view(in.z()).view(in.lse());
        launcher.launch("attention", new Grid(table.length / 3, in.q().size(1), 1, THREADS));
    }

    void vjp(Tensor dz, AttentionSaved in, AttentionSpec spec, Segments segments, AttentionRule rule,
            AttentionCotangents out) {
        int cotangents = segments.rows() == 0 ? 0 : dz.size(0) / segments.rows();
        if (cotangents > 0 && fusedAttention.serves(dz, in, segments, rule, out)) {
            fusedAttention.vjp(dz, in, spec, segments, rule, out);
            return;
        }
        if (isBatched(segments, cotangents)) {
            longAttention.vjp(dz, in, spec, segments, rule, out, () -> clearKeys(rule, out));
            return;
        }
        int[] table = parts(segments);
        int blocks = table.length / 3;
        Grid keys = new Grid(blocks, in.k().size(1), Math.min(cotangents, Launcher.MAX_GRID), THREADS);
        switch (rule) {
            case FROZEN -> {
                saved(dz, in, spec, cotangents, table);
                launcher.view(out.dv());
                launcher.launch("attentionVjpFrozen", keys);
            }
            case EXACT -> {
                Tensor delta = deltas.take(DType.F32, dz.size(0), dz.size(1));
                saved(dz, in, spec, cotangents, table);
                launcher.view(in.z()).view(out.dq()).view(delta);
                launcher.launch("attentionVjpQuery", new Grid(blocks, dz.size(1), keys.z(), THREADS));
                saved(dz, in, spec, cotangents, table);
                launcher.view(delta).view(out.dk()).view(out.dv());
                launcher.launch("attentionVjpKey", keys);
            }
        }
    }

    private static boolean isBatched(Segments segments, int cotangents) {
        if (cotangents == 0) {
            return false;
        }
        boolean fewProducts = segments.count() <= FEW && (cotangents < SEVERAL || cotangents > MANY);
        return fewProducts || segments.rows() >= (long) LONG * segments.count();
    }

    private void clearKeys(AttentionRule rule, AttentionCotangents out) {
        transfers.zero(out.dv());
        if (rule == AttentionRule.EXACT) {
            transfers.zero(out.dk());
        }
    }

    void pattern(AttentionSaved in, AttentionSpec spec, Segments segments, int prompt, Tensor pattern) {
        launcher.begin();
        launcher.view(in.q()).view(in.k()).view(in.lse());
        attention(launcher, in, spec, 1);
        launcher.arguments().add(segments.start(prompt)).add(segments.length(prompt));
        launcher.view(pattern);
        launcher.launch("attentionPattern", new Grid(segments.length(prompt), in.q().size(1), 1, THREADS));
    }

    /** The arguments that all VJPs begin with. */
    private void saved(Tensor dz, AttentionSaved in, AttentionSpec spec, int cotangents, int[] table) {
        launcher.begin();
        launcher.view(dz).view(in.q()).view(in.k()).view(in.v()).view(in.lse());
        attention(launcher, in, spec, cotangents);
        launcher.arguments().add(parts.upload(table));
    }

    /** {@code struct Attention}. */
    static void attention(Launcher launcher, AttentionSaved in, AttentionSpec spec, int cotangents) {
        int width = in.q().size(2);
        if (width > MAX_WIDTH) {
            throw new IllegalArgumentException("heads of width " + width + ": the CUDA kernels take at most " + MAX_WIDTH
                    + "; use --device cpu");
        }
        launcher.arguments()
                .struct()
                .add((float) spec.scale())
                .add(spec.capped() ? (float) spec.softCap() : 0f)
                .add(spec.window())
                .add(in.q().size(1))
                .add(in.k().size(1))
                .add(width)
                .add(in.q().size(0))
                .add(cotangents)
                .end();
    }

    /** For each block its prompt's first row, its own first row within the prompt, and the prompt's length. */
    private static int[] parts(Segments segments) {
        int[] table = new int[3 * (segments.rows() / ROWS_PER_BLOCK + segments.count())];
        int used = 0;
        for (int b = 0; b < segments.count(); b++) {
            for (int first = 0; first < segments.length(b); first += ROWS_PER_BLOCK) {
                table[used++] = segments.start(b);
                table[used++] = first;
                table[used++] = segments.length(b);
            }
        }
        return Arrays.copyOf(table, used);
    }

    @Override
    public void close() {
        fusedAttention.close();
        longAttention.close();
        parts.close();
        deltas.close();
    }
}

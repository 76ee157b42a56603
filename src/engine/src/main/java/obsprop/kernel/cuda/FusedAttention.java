package obsprop.kernel.cuda;

import java.util.stream.IntStream;
import java.util.stream.Stream;
import obsprop.cuda.CudaDevice;
import obsprop.cuda.CudaFunction.Grid;
import obsprop.cuda.CudaPrecision;
import obsprop.kernel.AttentionRule;
import obsprop.kernel.AttentionSpec;
import obsprop.kernel.Kernels.AttentionCotangents;
import obsprop.kernel.Kernels.AttentionInputs;
import obsprop.kernel.Segments;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;

/**
 * Attention on tensor cores, scores never leaving the registers: one kernel forward, three back; see {@code kernels.cu}. Operands
 * are rounded to TF32 or bfloat16, the pattern and its cotangent too when they are multiplied; sums are fp32.
 */
final class FusedAttention implements AutoCloseable {
    /** {@code mma.sync} of bfloat16 and TF32. */
    private static final int CAPABILITY = 80;
    /** Mean length of prompts from which on this is used, {@code QUERIES}: not yet tuned on a card. */
    private static final int SHORTEST = 64;

    /** {@code QUERIES} of {@code kernels.cu}. */
    private static final int QUERIES = 64;
    /** What the rows of a block in a VJP take in shared memory; {@code OWNED} of {@code kernels.cu} follows. */
    private static final int OWNED_BYTES = 16 << 10;

    private static final int MAX_OWNED = 64;
    private static final int THREADS_PER_ROW = 2;
    private static final int MAX_GRID = 65535;

    private final Launcher launcher;
    private final CudaPrecision precision;
    private final boolean available;
    /** Blocks of the forward pass, and of VJPs. */
    private final IntTable forwardParts;

    private final IntTable vjpParts;
    private final Scratch outputs;
    private final Scratch deltas;

    FusedAttention(CudaDevice device, Launcher launcher, CudaPrecision precision) {
        this.launcher = launcher;
        this.precision = precision;
        available = precision != CudaPrecision.FP32 && device.description().computeCapability() >= CAPABILITY;
        forwardParts = new IntTable(device);
        vjpParts = new IntTable(device);
        outputs = new Scratch(device);
        deltas = new Scratch(device);
    }

    boolean serves(AttentionInputs in, Segments segments, Tensor z) {
        return serves(segments, in.q(), in.k(), in.v(), z);
    }

    boolean serves(Tensor dz, AttentionInputs in, Segments segments, AttentionRule rule, AttentionCotangents out) {
        return serves(segments, dz, in.q(), in.k(), in.v(), out.dv())
                && (rule == AttentionRule.FROZEN || serves(segments, out.dq(), out.dk()));
    }

    private boolean serves(Segments segments, Tensor... heads) {
        int width = heads[0].size(2);
        return available
                && (width == 64 || width == 128)
                && segments.rows() >= (long) SHORTEST * segments.count()
                && segments.rows() / owned(width) + segments.count() <= MAX_GRID
                && Stream.of(heads).allMatch(x -> Launcher.wide(width, x) == 1);
    }

    void forward(AttentionInputs in, AttentionSpec spec, Segments segments, Tensor z) {
        forward(in, spec, segments, z, 1);
    }

    /** @param saves whether lse is written, 1 or 0 */
    private void forward(AttentionInputs in, AttentionSpec spec, Segments segments, Tensor z, int saves) {
        int[] parts = parts(segments, QUERIES);
        launcher.begin();
        launcher.view(in.q()).view(in.k()).view(in.v());
        AttentionLaunches.attention(launcher, in, spec, 1);
        launcher.arguments().add(forwardParts.upload(parts));
        launcher.view(z).view(in.lse()).arguments().add(saves);
        launch("fusedForward", in.q(), parts, 1, QUERIES);
    }

    void vjp(Tensor dz, AttentionInputs in, AttentionSpec spec, Segments segments, AttentionRule rule,
            AttentionCotangents out) {
        int cotangents = dz.size(0) / segments.rows();
        int owned = owned(in.q().size(2));
        int[] parts = parts(segments, owned);
        switch (rule) {
            case FROZEN -> {
                saved(dz, in, spec, cotangents, parts);
                launcher.view(out.dv());
                launch("fusedVjpFrozen", in.k(), parts, cotangents, owned);
            }
            case EXACT -> {
                Tensor z = outputs.take(DType.F32, in.q().shape());
                Tensor delta = deltas.take(DType.F32, dz.size(0), dz.size(1));
                forward(in, spec, segments, z, 0); // the inputs do not hold z, and one costs less than a pass for each cotangent
                saved(dz, in, spec, cotangents, parts);
                launcher.view(z).view(out.dq()).view(delta);
                launch("fusedVjpQuery", in.q(), parts, cotangents, owned);
                saved(dz, in, spec, cotangents, parts);
                launcher.view(delta).view(out.dk()).view(out.dv());
                launch("fusedVjpKey", in.k(), parts, cotangents, owned);
            }
        }
    }

    /** The arguments that all VJPs begin with. */
    private void saved(Tensor dz, AttentionInputs in, AttentionSpec spec, int cotangents, int[] parts) {
        AttentionLaunches.saved(launcher, dz, in, spec, cotangents, vjpParts.upload(parts));
    }

    /** A block for each head of x, each part and each cotangent, whose warps own 16 rows each. */
    private void launch(String kernel, Tensor x, int[] parts, int cotangents, int rows) {
        String name = kernel + (precision == CudaPrecision.BF16 ? "Bf16x" : "Tf32x") + x.size(2);
        launcher.launch(name, new Grid(x.size(1), parts.length / 3, Math.min(cotangents, MAX_GRID), THREADS_PER_ROW * rows));
    }

    private int owned(int width) {
        int bytes = width * (precision == CudaPrecision.BF16 ? DType.BF16 : DType.F32).bytes();
        return Math.min(MAX_OWNED, OWNED_BYTES / bytes);
    }

    /**
     * For each block its prompt's first row, its own first row within the prompt, and the prompt's length; those with most
     * keys and fewest queries to go through come first.
     */
    private static int[] parts(Segments segments, int rows) {
        IntStream.Builder table = IntStream.builder();
        for (int first = (segments.longest() - 1) / rows * rows; first >= 0; first -= rows) {
            for (int b = 0; b < segments.count(); b++) {
                if (first < segments.length(b)) {
                    table.add(segments.start(b)).add(first).add(segments.length(b));
                }
            }
        }
        return table.build().toArray();
    }

    @Override
    public void close() {
        forwardParts.close();
        vjpParts.close();
        outputs.close();
        deltas.close();
    }
}

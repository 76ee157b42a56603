package obsprop.kernel.cuda;

import java.lang.foreign.MemorySegment;
import java.util.stream.IntStream;
import java.util.stream.Stream;
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
 * Attention on tensor cores, scores never leaving the registers; see {@code kernels.cu}. Operands are rounded to TF32 or bfloat16 in
 * a pass of their own, the pattern and its cotangent when they are multiplied; sums are fp32.
 */
final class FusedAttention implements AutoCloseable {
    /** {@code mma.sync} of bfloat16 and TF32. */
    private static final int CAPABILITY = 80;
    /** Mean length of prompts from which on this is used, {@code QUERIES}: from there on it is no slower on an H200, nearly always. */
    private static final int SHORTEST = 64;

    /** {@code QUERIES} of {@code kernels.cu}. */
    private static final int QUERIES = 64;
    /** What the rows of a block in a VJP take in shared memory; {@code OWNED} of {@code kernels.cu} follows. */
    private static final int OWNED_BYTES = 16 << 10;

    private static final int MAX_OWNED = 64;
    private static final int THREADS_PER_ROW = 2;
    /** Threads of the pass that rounds, each to {@code CHUNK} bytes. */
    private static final int ROUNDING_THREADS = 256;

    private static final int CHUNK = 16;
    /** Elements of cotangents that are rounded at once. */
    private static final long COTANGENTS = 1L << 25;

    private final Launcher launcher;
    private final RoundedOperand rounded;
    private final CudaPrecision precision;
    private final boolean available;
    /** Blocks of the forward pass, and of VJPs. */
    private final IntTable forwardParts;

    private final IntTable vjpParts;
    private final Scratch operands;
    private final Scratch cotangents;
    private final Scratch deltas;

    FusedAttention(CudaDevice device, Launcher launcher, RoundedOperand rounded, CudaPrecision precision) {
        this.launcher = launcher;
        this.rounded = rounded;
        this.precision = precision;
        available = precision != CudaPrecision.FP32 && device.description().computeCapability() >= CAPABILITY;
        forwardParts = new IntTable(device);
        vjpParts = new IntTable(device);
        operands = new Scratch(device);
        cotangents = new Scratch(device);
        deltas = new Scratch(device);
    }

    boolean serves(AttentionSaved in, Segments segments) {
        return serves(segments, in.q(), in.k(), in.v(), in.z());
    }

    boolean serves(Tensor dz, AttentionSaved in, Segments segments, AttentionRule rule, AttentionCotangents out) {
        return serves(segments, dz, in.q(), in.k(), in.v(), in.z(), out.dv())
                && (rule == AttentionRule.FROZEN || serves(segments, out.dq(), out.dk()));
    }

    private boolean serves(Segments segments, Tensor... heads) {
        int width = heads[0].size(2);
        return available
                && (width == 64 || width == 128)
                && segments.rows() >= (long) SHORTEST * segments.count()
                && segments.rows() / owned(width) + segments.count() <= Launcher.MAX_GRID
                && Stream.of(heads).allMatch(x -> Launcher.wide(width, x) == 1);
    }

    void forward(AttentionSaved in, AttentionSpec spec, Segments segments) {
        int[] parts = parts(segments, QUERIES);
        MemorySegment chunks = operands(in, spec);
        launcher.begin().add(chunks);
        AttentionLaunches.attention(launcher, in, spec, 1);
        launcher.arguments().add(forwardParts.upload(parts));
        launcher.view(in.z()).view(in.lse()).arguments().add(rounded.beside(in.z()));
        launch("fusedForward", in.q(), parts, 1, QUERIES);
    }

    void vjp(Tensor dz, AttentionSaved in, AttentionSpec spec, Segments segments, AttentionRule rule,
            AttentionCotangents out) {
        var pass = new VjpPass(in, spec, parts(segments, owned(in.q().size(2))), operands(in, spec));
        switch (rule) {
            case FROZEN -> pass.split(dz, (from, to) -> pass.frozen(dz.slice(0, from, to), out.dv().slice(0, from, to)));
            case EXACT -> pass.split(dz, (from, to) -> pass.exact(dz.slice(0, from, to), new AttentionCotangents(
                    out.dq().slice(0, from, to), out.dk().slice(0, from, to), out.dv().slice(0, from, to))));
        }
    }

    /** What is to be done with rows {@code from <= row < to} of the cotangents. */
    private interface Rows {
        void apply(int from, int to);
    }

    /** The VJP of some cotangents. */
    private final class VjpPass {
        private final AttentionSaved in;
        private final AttentionSpec spec;
        private final int[] parts;
        private final MemorySegment operands;

        /** @param operands {@link #operands} */
        VjpPass(AttentionSaved in, AttentionSpec spec, int[] parts, MemorySegment operands) {
            this.in = in;
            this.spec = spec;
            this.parts = parts;
            this.operands = operands;
        }

        /** Takes so many cotangents at once as scratch is meant for. */
        void split(Tensor dz, Rows work) {
            int rows = in.q().size(0);
            int atOnce = rows * Math.clamp(COTANGENTS / in.q().elements(), 1, Math.min(dz.size(0) / rows, Launcher.MAX_GRID));
            for (int from = 0; from < dz.size(0); from += atOnce) {
                work.apply(from, Math.min(from + atOnce, dz.size(0)));
            }
        }

        void frozen(Tensor dz, Tensor dv) {
            begin(cotangents(dz), dz);
            launcher.view(dv);
            launch("fusedVjpFrozen", in.k(), dz);
        }

        void exact(Tensor dz, AttentionCotangents out) {
            Tensor delta = deltas.take(DType.F32, dz.size(0), dz.size(1));
            MemorySegment roundedDz = cotangents(dz);
            begin(roundedDz, dz);
            launcher.view(dz).view(in.z()).view(out.dq()).view(delta);
            launch("fusedVjpQuery", in.q(), dz);
            begin(roundedDz, dz);
            launcher.view(delta).view(out.dk()).view(out.dv());
            launch("fusedVjpKey", in.k(), dz);
        }

        private MemorySegment cotangents(Tensor dz) {
            MemorySegment to = cotangents.bytes(dz.elements() * bytes());
            launcher.begin();
            launcher.view(dz);
            AttentionLaunches.attention(launcher, in, spec, count(dz));
            launcher.arguments().add(to);
            round("fusedCotangents", dz, 1);
            return to;
        }

        /** The arguments that all VJPs begin with. */
        private void begin(MemorySegment roundedDz, Tensor dz) {
            launcher.begin().add(roundedDz).add(operands);
            launcher.view(in.lse());
            AttentionLaunches.attention(launcher, in, spec, count(dz));
            launcher.arguments().add(vjpParts.upload(parts));
        }

        private void launch(String kernel, Tensor x, Tensor dz) {
            FusedAttention.this.launch(kernel, x, parts, count(dz), owned(x.size(2)));
        }

        private int count(Tensor dz) {
            return dz.size(0) / in.q().size(0);
        }
    }

    /** q, k and v, rounded. */
    private MemorySegment operands(AttentionSaved in, AttentionSpec spec) {
        MemorySegment to = operands.bytes((in.q().elements() + in.k().elements() + in.v().elements()) * bytes());
        launcher.begin();
        launcher.view(in.q()).view(in.k()).view(in.v());
        AttentionLaunches.attention(launcher, in, spec, 1);
        launcher.arguments().add(to);
        round("fusedOperands", in.q(), 3);
        return to;
    }

    /** Rounds as many tensors, the first and largest of which is x. */
    private void round(String kernel, Tensor x, int tensors) {
        long blocks = (x.elements() * bytes() / CHUNK + ROUNDING_THREADS - 1) / ROUNDING_THREADS;
        launcher.launch(name(kernel, x), new Grid((int) Math.min(blocks, Launcher.MAX_GRID), tensors, 1, ROUNDING_THREADS));
    }

    /** A block for each head of x, each part and each cotangent, whose warps own 16 rows each. */
    private void launch(String kernel, Tensor x, int[] parts, int count, int rows) {
        launcher.launch(name(kernel, x), new Grid(x.size(1), parts.length / 3, count, THREADS_PER_ROW * rows));
    }

    private String name(String kernel, Tensor x) {
        return kernel + (precision == CudaPrecision.BF16 ? "Bf16x" : "Tf32x") + x.size(2);
    }

    /** Of a rounded element. */
    private long bytes() {
        return (precision == CudaPrecision.BF16 ? DType.BF16 : DType.F32).bytes();
    }

    private int owned(int width) {
        return Math.min(MAX_OWNED, (int) (OWNED_BYTES / (width * bytes())));
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
        operands.close();
        cotangents.close();
        deltas.close();
    }
}

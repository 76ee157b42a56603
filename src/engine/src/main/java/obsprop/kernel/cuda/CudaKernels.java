package obsprop.kernel.cuda;

import java.lang.foreign.Arena;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import obsprop.cuda.CudaDevice;
import obsprop.cuda.CudaPrecision;
import obsprop.cuda.CudaProbe;
import obsprop.cuda.CudaReplay;
import obsprop.kernel.Activation;
import obsprop.kernel.AttentionRule;
import obsprop.kernel.AttentionSpec;
import obsprop.kernel.Kernels;
import obsprop.kernel.NormParameters;
import obsprop.kernel.NormRule;
import obsprop.kernel.Residency;
import obsprop.kernel.RotaryStyle;
import obsprop.kernel.Segments;
import obsprop.kernel.Transpose;
import obsprop.kernel.Write;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;

/**
 * The kernels on an NVIDIA GPU: products by cuBLAS, all else by {@code kernels.cu}. Every operation is only queued, on
 * one stream; {@link #copy} to the host waits for its values. Activations are F32. Several threads may call: they take
 * turns.
 *
 * <p>Errors of the device are {@link obsprop.cuda.CudaException}s; that of a kernel shows at the next copy to the host.
 * To be closed after the arenas of its tensors.
 */
public final class CudaKernels implements Kernels, AutoCloseable {
    private final CudaDevice device;
    private final CudaPrecision precision;
    private final Arena arena = Arena.ofShared();
    private final Residency residency;
    private final HostWeights hostWeights;
    private final LayerStream layers;
    private final Launcher launcher;
    private final Transfers transfers;
    private final WeightTwins twins;
    private final RoundedOperand rounded;
    private final Products products;
    private final AttentionLaunches attention;
    private final IntTable ids;
    private final IntTable positions;

    private CudaKernels(CudaDevice device, CudaPrecision precision, Residency residency, HostWeights hostWeights) {
        this.device = device;
        this.residency = residency;
        this.hostWeights = hostWeights;
        layers = new LayerStream(device, hostWeights);
        this.precision = precision;
        launcher = new Launcher(device, arena);
        transfers = new Transfers(device, launcher);
        twins = new WeightTwins(precision, transfers);
        rounded = new RoundedOperand(device, precision, launcher, transfers);
        products = new Products(device, precision, transfers, twins, rounded);
        attention = new AttentionLaunches(device, launcher, transfers, rounded, precision);
        ids = new IntTable(device);
        positions = new IntTable(device);
    }

    /** Opens the device that was found, to hold all weights. */
    public static CudaKernels open(CudaProbe.Present found, CudaPrecision precision) {
        return open(found, precision, Residency.RESIDENT);
    }

    /** Opens the device that was found. */
    public static CudaKernels open(CudaProbe.Present found, CudaPrecision precision, Residency residency) {
        return new CudaKernels(found.open(), precision, residency, new HostWeights());
    }

    /** The same device with products of another precision; it reads what this one has placed, and is to be closed before. */
    public synchronized CudaKernels with(CudaPrecision other) {
        device.stream().synchronize(); // what was placed must have arrived before another stream reads it
        return new CudaKernels(device.description().open(), other, residency, hostWeights);
    }

    /** The device underneath, for its memory and its description. */
    public CudaDevice device() {
        return device;
    }

    @Override
    public synchronized void close() {
        layers.close();
        positions.close();
        ids.close();
        attention.close();
        products.close();
        rounded.close();
        transfers.close();
        arena.close();
        device.close();
    }

    @Override
    public String describe() {
        return "CUDA: " + device.description().describe() + ", " + precision.name().toLowerCase(Locale.ROOT)
                + " products by cuBLAS" + (residency == Residency.STREAMED ? ", layers streamed from the host" : "");
    }

    /** Of matrix products. */
    public CudaPrecision precision() {
        return precision;
    }

    @Override
    public DType activationType() {
        return DType.F32;
    }

    /** More than on a CPU: a card needs some thousand rows to fill its processors. */
    @Override
    public long sweepElements() {
        return 1L << 26;
    }

    /** Recorded as a CUDA graph at the third run, after which a run is one launch. */
    @Override
    public Replay replay(Runnable work) {
        if (residency == Residency.STREAMED) {
            return Kernels.super.replay(work); // which layers lie where, the host decides as it goes
        }
        CudaReplay replay = new CudaReplay(device, work);
        return new Replay() {
            @Override
            public void run() {
                synchronized (CudaKernels.this) {
                    rounded.forget(); // the graph runs again when other rows may have been rounded last
                    replay.run();
                    rounded.forget();
                }
            }

            @Override
            public Optional<String> refusal() {
                return replay.refusal();
            }

            @Override
            public void close() {
                synchronized (CudaKernels.this) {
                    replay.close();
                }
            }
        };
    }

    @Override
    public synchronized Tensor allocate(Arena owner, int... shape) {
        Tensor out = transfers.allocate(owner, DType.F32, shape);
        zero(out);
        return out;
    }

    @Override
    public synchronized Tensor place(Arena owner, Tensor host) {
        Tensor out = transfers.allocate(owner, host.dtype(), host.shape());
        copy(host, out);
        twins.add(owner, out);
        return out;
    }

    @Override
    public synchronized Optional<Tensor> placeStacked(Arena owner, List<Tensor> hosts) {
        Tensor first = hosts.getFirst();
        int columns = first.rank() == 2 ? first.size(1) : 1;
        if (residency == Residency.STREAMED || hosts.stream().anyMatch(x -> !stacks(x, first))) {
            return Optional.empty();
        }
        int rows = hosts.stream().mapToInt(x -> x.size(0)).sum();
        int[] shape = first.rank() == 2 ? new int[] {rows, columns} : new int[] {rows};
        Tensor out = transfers.allocate(owner, first.dtype(), shape);
        int row = 0;
        for (Tensor host : hosts) {
            copy(host, out.slice(0, row, row + host.size(0)));
            row += host.size(0);
        }
        twins.add(owner, out);
        return Optional.of(out);
    }

    private static boolean stacks(Tensor x, Tensor first) {
        return x.rank() == first.rank() && x.dtype() == first.dtype() && (x.rank() == 1 || x.size(1) == first.size(1));
    }

    @Override
    public synchronized Tensor placeOfLayer(Arena owner, Tensor host, int layer) {
        if (residency == Residency.RESIDENT || !host.isContiguous()) {
            return place(owner, host);
        }
        hostWeights.add(owner, host, layer);
        return host;
    }

    /** Where an operation finds a weight, of which it has but one layer's. */
    private Tensor weight(Tensor x) {
        return layers.begin().onDevice(x);
    }

    @Override
    public synchronized void copy(Tensor from, Tensor to) {
        transfers.copy(from, to);
        rounded.written(to);
    }

    @Override
    public synchronized void zero(Tensor x) {
        transfers.zero(x);
        rounded.written(x);
    }

    @Override
    public synchronized void gemm(Tensor a, Transpose transA, Tensor b, Transpose transB, Tensor c, Write write) {
        layers.begin();
        Tensor left = layers.onDevice(a);
        if (left != a) {
            rounded.forget(); // where it lies, another layer may have been
        }
        products.gemm(left, transA, layers.onDevice(b), transB, c, write);
    }

    /** What cublasLt saves here is a pass over y that adds the bias. */
    @Override
    public synchronized void linear(
            Tensor x, Tensor weight, Transpose transpose, Optional<Tensor> bias, Tensor y, Write write) {
        if (bias.isEmpty() || !products.linear(x, weight(weight), transpose, weight(bias.get()), y, write)) {
            Kernels.super.linear(x, weight, transpose, bias, y, write);
        }
    }

    @Override
    public synchronized void broadcast(Tensor row, Tensor y, Write write) {
        Tensor placed = weight(row);
        launcher.begin();
        int wide = Launcher.wide(y.size(1), placed, y);
        launcher.view(placed).view(y).arguments().add(y.size(1)).add(wide).add(flag(write));
        launcher.columns("broadcast", y.size(0), y.size(1), wide);
    }

    @Override
    public synchronized void addScaled(double alpha, Tensor x, Tensor y) {
        transfers.addScaled((float) alpha, weight(x), y);
    }

    @Override
    public synchronized void gather(Tensor table, int[] rows, double scale, Tensor y, Write write) {
        Tensor placed = weight(table);
        launcher.begin();
        launcher.view(placed).arguments().add(ids.upload(rows)).add((float) scale);
        int wide = Launcher.wide(y.size(1), placed, y);
        launcher.view(y).arguments().add(y.size(1)).add(wide).add(flag(write));
        launcher.columns("gather", rows.length, y.size(1), wide);
    }

    private static int flag(Write write) {
        return write == Write.ACCUMULATE ? 1 : 0;
    }

    @Override
    public synchronized void norm(Tensor x, NormParameters parameters, Tensor y, Tensor stats) {
        launcher.begin();
        launcher.heads(x);
        norm(parameters, x);
        int wide = wide(parameters, x, y);
        launcher.heads(y).heads(stats).arguments().add(wide).add(rounded.beside(y));
        launcher.rows("normForward", x.elements() / parameters.width(), parameters.width(), wide);
    }

    @Override
    public synchronized void normVjp(
            Tensor dy, Tensor x, Tensor stats, NormParameters parameters, NormRule rule, Tensor dx, Write write) {
        launcher.begin();
        launcher.heads(dy).heads(x).heads(stats);
        norm(parameters, x);
        launcher.arguments().add(rule.ordinal()); // numbered as in kernels.cu, like the other enums
        int wide = wide(parameters, dy, x, dx);
        launcher.heads(dx).arguments().add(flag(write)).add(wide).add(rounded.beside(dx));
        launcher.rows("normVjp", dy.elements() / parameters.width(), parameters.width(), wide);
    }

    private int wide(NormParameters parameters, Tensor... rows) {
        int wide = Launcher.wide(parameters.width(), rows) & Launcher.wide(parameters.width(), weight(parameters.gain()));
        return parameters.bias().map(bias -> wide & Launcher.wide(parameters.width(), weight(bias))).orElse(wide);
    }

    /** {@code struct Norm}, for saved values x. */
    private void norm(NormParameters parameters, Tensor x) {
        launcher.arguments().struct();
        launcher.member(weight(parameters.gain()));
        parameters.bias().map(this::weight).ifPresentOrElse(launcher::member, launcher::memberAbsent);
        launcher.arguments()
                .add((float) parameters.epsilon())
                .add((float) parameters.gainOffset())
                .add(parameters.kind().ordinal())
                .add(x.rank() == 3 ? x.size(1) : 1)
                .add(parameters.width())
                .add(x.size(0))
                .end();
    }

    @Override
    public synchronized void rotate(Tensor x, int[] rowPositions, Tensor cos, Tensor sin, RotaryStyle style, boolean inverse) {
        launcher.begin();
        launcher.view(x).arguments().add(positions.upload(rowPositions)).struct();
        launcher.member(cos);
        launcher.member(sin);
        launcher.arguments()
                .add(x.size(1))
                .add(cos.size(1))
                .add(rowPositions.length)
                .add(style.ordinal())
                .add(inverse ? -1f : 1f)
                .end();
        launcher.rows("rotate", x.size(0), x.size(1) * cos.size(1));
    }

    @Override
    public synchronized void attention(Tensor q, Tensor k, Tensor v, AttentionSpec spec, Segments segments, Tensor z, Tensor lse) {
        attention.forward(new AttentionSaved(q, k, v, z, lse), spec, segments);
    }

    @Override
    public synchronized void attentionVjp(
            Tensor dz,
            AttentionSaved saved,
            AttentionSpec spec,
            Segments segments,
            AttentionRule rule,
            AttentionCotangents out) {
        attention.vjp(dz, saved, spec, segments, rule, out);
    }

    @Override
    public synchronized void attentionPattern(
            AttentionSaved saved, AttentionSpec spec, Segments segments, int prompt, Tensor pattern) {
        attention.pattern(saved, spec, segments, prompt, pattern);
    }

    @Override
    public synchronized void activation(Activation f, Tensor x, Tensor y) {
        launcher.begin().add(f.ordinal());
        int wide = Launcher.wide(x.size(1), x, y);
        launcher.view(x).view(y).arguments().add(x.size(1)).add(wide).add(rounded.beside(y));
        launcher.columns("activation", x.size(0), x.size(1), wide);
    }

    @Override
    public synchronized void activationVjp(Activation f, Tensor dy, Tensor x, Tensor dx) {
        launcher.begin().add(f.ordinal());
        int wide = Launcher.wide(x.size(1), dy, x, dx);
        launcher.view(dy).view(x).view(dx).arguments().add(x.size(0)).add(x.size(1)).add(wide).add(rounded.beside(dx));
        launcher.columns("activationVjp", dy.size(0), x.size(1), wide);
    }

    @Override
    public synchronized void gated(Activation f, Tensor gate, Tensor up, Tensor y) {
        launcher.begin().add(f.ordinal());
        int wide = Launcher.wide(y.size(1), gate, up, y);
        launcher.view(gate).view(up).view(y).arguments().add(y.size(1)).add(wide).add(rounded.beside(y));
        launcher.columns("gated", y.size(0), y.size(1), wide);
    }

    @Override
    public synchronized void gatedVjp(Activation f, Tensor dy, Tensor gate, Tensor up, Tensor dGate, Tensor dUp) {
        launcher.begin().add(f.ordinal());
        int wide = Launcher.wide(gate.size(1), dy, gate, up, dGate, dUp);
        launcher.view(dy).view(gate).view(up).view(dGate).view(dUp);
        launcher.arguments().add(gate.size(0)).add(gate.size(1)).add(wide).add(rounded.beside(dGate));
        launcher.columns("gatedVjp", dy.size(0), gate.size(1), wide);
    }

    @Override
    public synchronized void softCap(double cap, Tensor x) {
        launcher.begin().add((float) cap);
        launcher.view(x).arguments().add(x.size(1));
        launcher.columns("softCap", x.size(0), x.size(1), 0);
    }
}

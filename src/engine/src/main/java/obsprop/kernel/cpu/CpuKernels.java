package obsprop.kernel.cpu;

import java.lang.foreign.Arena;
import java.util.Optional;
import java.util.concurrent.Executor;
import obsprop.kernel.Activation;
import obsprop.kernel.AttentionRule;
import obsprop.kernel.AttentionSpec;
import obsprop.kernel.Kernels;
import obsprop.kernel.NormParameters;
import obsprop.kernel.NormRule;
import obsprop.kernel.RotaryStyle;
import obsprop.kernel.Segments;
import obsprop.kernel.Transpose;
import obsprop.kernel.Write;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;

/**
 * {@link Kernels} in fp32 by the Vector API, over a fixed number of threads. Safe for use from many threads at once: one
 * call at a time has the team, others run on their own thread. Warmed up, no call allocates on the heap.
 *
 * <p>With more than one thread, tensors must lie in memory open to all threads: {@code Arena.ofShared()},
 * {@code ofAuto()} or {@code global()}.
 */
public final class CpuKernels implements Kernels, AutoCloseable {
    private static final Tensor NOTHING = Tensor.allocate(Arena.global(), DType.F32, 0, 0);

    private final Workers workers;
    private final Pool<Gemm> gemms;
    /** These on the calling thread. */
    private final CpuKernels alone;
    private final Pool<Attention> attentions = new Pool<>(() -> new Attention(NOTHING));
    private final Pool<HeadOutputs> headOutputs = new Pool<>(HeadOutputs::new);
    private final Pool<Norms> norms = new Pool<>(() -> new Norms(NOTHING));
    private final Pool<Elementwise> elementwise = new Pool<>(() -> new Elementwise(NOTHING));
    private final Pool<Scratch> scratches = new Pool<>(Scratch::new);

    private CpuKernels(Workers workers, boolean warm) {
        this.workers = workers;
        gemms = new Pool<>(() -> new Gemm(warm));
        alone = workers.threads() == 1 ? this : new CpuKernels(new Workers(1), gemms);
    }

    private CpuKernels(Workers workers, Pool<Gemm> gemms) {
        this.workers = workers;
        this.gemms = gemms;
        alone = this;
    }

    /**
     * Kernels over {@code threads} threads, the caller's included; {@link #close} ends the others.
     *
     * @throws UnsupportedOperationException if the module jdk.incubator.vector is absent
     */
    public static CpuKernels create(int threads) {
        requireVectorModule();
        return new CpuKernels(new Workers(threads), false);
    }

    /**
     * Kernels that borrow up to {@code threads - 1} threads of {@code executor} during a call, beside the caller's. The
     * executor must not run tasks on the calling thread only, or nothing is gained.
     *
     * @throws UnsupportedOperationException if the module jdk.incubator.vector is absent
     */
    public static CpuKernels create(int threads, Executor executor) {
        requireVectorModule();
        return new CpuKernels(new Workers(threads, executor), false);
    }

    /** Kernels that use vectors from their first product on: for tests of those. */
    static CpuKernels warm(Workers workers) {
        return new CpuKernels(workers, true);
    }

    private static void requireVectorModule() {
        if (ModuleLayer.boot().findModule("jdk.incubator.vector").isEmpty()) {
            throw new UnsupportedOperationException("the CPU kernels need the JDK's Vector API: "
                    + "start java with --add-modules jdk.incubator.vector, or ask for the scalar kernels");
        }
    }

    @Override
    public String describe() {
        int threads = workers.threads();
        return "Vector API, " + Lanes.BYTES * 8 + " bit, " + threads + (threads == 1 ? " thread" : " threads");
    }

    @Override
    public DType activationType() {
        return DType.F32;
    }

    /** Ends the threads that {@link #create(int)} started. Later calls still work, on the calling thread. */
    @Override
    public void close() {
        workers.close();
    }

    @Override
    public Arena newArena(long bytes) {
        return Slabs.serve(bytes) ? new Slabs() : Arena.ofShared();
    }

    @Override
    public Tensor allocate(Arena arena, int... shape) {
        return Tensor.allocate(arena, DType.F32, shape);
    }

    @Override
    public Tensor place(Arena arena, Tensor host) {
        return host;
    }

    @Override
    public Optional<Tensor> transposed(Arena arena, Tensor weight) {
        boolean small = weight.isContiguous() && StripProducts.small(weight.size(0), weight.size(1));
        return small ? Optional.of(place(arena, StripProducts.transposed(arena, weight))) : Optional.empty();
    }

    @Override
    public void copy(Tensor from, Tensor to) {
        Scratch scratch = scratches.take();
        Copies.copy(from, to, scratch);
        scratches.give(scratch);
    }

    @Override
    public void zero(Tensor x) {
        Copies.zero(x);
    }

    @Override
    public void each(int count, Numbered operation) {
        if (count < workers.threads()) {
            Kernels.super.each(count, operation);
        } else {
            workers.run((number, scratch) -> operation.run(number, alone), count);
        }
    }

    @Override
    public void gemm(Tensor a, Transpose transA, Tensor b, Transpose transB, Tensor c, Write write) {
        product(a, transA, b, transB, Optional.empty(), c, write);
    }

    @Override
    public void linear(Tensor x, Tensor weight, Transpose transpose, Optional<Tensor> bias, Tensor y, Write write) {
        product(x, Transpose.NO, weight, transpose, bias, y, write);
    }

    private void product(Tensor a, Transpose transA, Tensor b, Transpose transB, Optional<Tensor> bias, Tensor c, Write write) {
        Gemm gemm = gemms.take();
        gemm.run(workers, a, transA, b, transB, bias, c, write);
        gemms.give(gemm);
    }

    @Override
    public boolean headProducts(Tensor x, Tensor weight, Tensor y) {
        boolean serves = HeadOutputs.serves(x, weight, y);
        if (serves) {
            HeadOutputs outputs = headOutputs.take();
            outputs.run(workers, x, weight, y);
            headOutputs.give(outputs);
        }
        return serves;
    }

    @Override
    public void broadcast(Tensor row, Tensor y, Write write) {
        Scratch scratch = scratches.take();
        Copies.broadcast(row, y, write, scratch);
        scratches.give(scratch);
    }

    @Override
    public void addScaled(double alpha, Tensor x, Tensor y) {
        Copies.addScaled((float) alpha, x, y);
    }

    @Override
    public void gather(Tensor table, int[] ids, double scale, Tensor y, Write write) {
        Scratch scratch = scratches.take();
        Copies.gather(table, ids, (float) scale, y, write, scratch);
        scratches.give(scratch);
    }

    @Override
    public void norm(Tensor x, NormParameters parameters, Tensor y, Tensor stats) {
        Norms job = norms.take();
        job.run(workers, x, parameters, y, stats);
        norms.give(job);
    }

    @Override
    public void normVjp(
            Tensor dy, Tensor x, Tensor stats, NormParameters parameters, NormRule rule, Tensor dx, Write write) {
        Norms job = norms.take();
        job.runVjp(workers, dy, x, stats, parameters, rule, dx, write);
        norms.give(job);
    }

    @Override
    public void rotate(Tensor x, int[] positions, Tensor cos, Tensor sin, RotaryStyle style, boolean inverse) {
        Rotary.run(x, positions, cos, sin, style, inverse ? -1f : 1f);
    }

    @Override
    public void attention(
            Tensor q, Tensor k, Tensor v, AttentionSpec spec, Segments segments, Tensor z, Tensor lse) {
        Attention job = attentions.take();
        job.run(workers, q, k, v, lse, spec, segments, z);
        attentions.give(job);
    }

    @Override
    public void attentionVjp(
            Tensor dz,
            AttentionSaved saved,
            AttentionSpec spec,
            Segments segments,
            AttentionRule rule,
            AttentionCotangents out) {
        Attention job = attentions.take();
        job.runVjp(workers, dz, saved, spec, segments, rule, out);
        attentions.give(job);
    }

    @Override
    public void attentionPattern(
            AttentionSaved saved, AttentionSpec spec, Segments segments, int prompt, Tensor pattern) {
        Attention job = attentions.take();
        job.runPattern(workers, saved, spec, segments, prompt, pattern);
        attentions.give(job);
    }

    @Override
    public void activation(Activation f, Tensor x, Tensor y) {
        Elementwise job = elementwise.take();
        job.activation(workers, f, x, y);
        elementwise.give(job);
    }

    @Override
    public void activationVjp(Activation f, Tensor dy, Tensor x, Tensor dx) {
        Elementwise job = elementwise.take();
        job.activationVjp(workers, f, dy, x, dx);
        elementwise.give(job);
    }

    @Override
    public void gated(Activation f, Tensor gate, Tensor up, Tensor y) {
        Elementwise job = elementwise.take();
        job.gated(workers, f, gate, up, y);
        elementwise.give(job);
    }

    @Override
    public void gatedVjp(Activation f, Tensor dy, Tensor gate, Tensor up, Tensor dGate, Tensor dUp) {
        Elementwise job = elementwise.take();
        job.gatedVjp(workers, f, dy, gate, up, dGate, dUp);
        elementwise.give(job);
    }

    @Override
    public void softCap(double cap, Tensor x) {
        Elementwise job = elementwise.take();
        job.softCap(workers, cap, x);
        elementwise.give(job);
    }
}

package obsprop.kernel.scalar;

import java.lang.foreign.Arena;
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
 * The kernels as one writes them on paper: one thread, everything computed in double and rounded once when stored. The
 * oracle that the fast backends are held against, and the fallback where none of them runs.
 *
 * <p>Every operand may be of any real type.
 */
public final class ScalarKernels implements Kernels {
    private final DType activationType;

    private ScalarKernels(DType activationType) {
        this.activationType = activationType;
    }

    /** With activations and cotangents stored in 32 bits, as the other backends do. */
    public static ScalarKernels float32() {
        return new ScalarKernels(DType.F32);
    }

    /** The proving form: double throughout. */
    public static ScalarKernels float64() {
        return new ScalarKernels(DType.F64);
    }

    @Override
    public String describe() {
        return "plain Java, 1 thread, " + activationType + " activations, double accumulation";
    }

    @Override
    public DType activationType() {
        return activationType;
    }

    @Override
    public Tensor allocate(Arena arena, int... shape) {
        return Tensor.allocate(arena, activationType, shape);
    }

    @Override
    public Tensor place(Arena arena, Tensor host) {
        return host;
    }

    @Override
    public void copy(Tensor from, Tensor to) {
        Views.scaled(1, from, to, Write.OVERWRITE);
    }

    @Override
    public void zero(Tensor x) {
        Views.zero(x);
    }

    @Override
    public void gemm(Tensor a, Transpose transA, Tensor b, Transpose transB, Tensor c, Write write) {
        ScalarDense.gemm(a, transA, b, transB, c, write);
    }

    @Override
    public void broadcast(Tensor row, Tensor y, Write write) {
        ScalarDense.broadcast(row, y, write);
    }

    @Override
    public void addScaled(double alpha, Tensor x, Tensor y) {
        Views.scaled(alpha, x, y, Write.ACCUMULATE);
    }

    @Override
    public void gather(Tensor table, int[] ids, double scale, Tensor y, Write write) {
        ScalarDense.gather(table, ids, scale, y, write);
    }

    @Override
    public void norm(Tensor x, NormParameters parameters, Tensor y, Tensor stats) {
        ScalarNorms.norm(x, parameters, y, stats);
    }

    @Override
    public void normVjp(
            Tensor dy, Tensor x, Tensor stats, NormParameters parameters, NormRule rule, Tensor dx, Write write) {
        ScalarNorms.normVjp(dy, x, stats, parameters, rule, dx, write);
    }

    @Override
    public void rotate(Tensor x, int[] positions, Tensor cos, Tensor sin, RotaryStyle style, boolean inverse) {
        ScalarAttention.rotate(x, positions, cos, sin, style, inverse);
    }

    @Override
    public void attention(
            Tensor q, Tensor k, Tensor v, AttentionSpec spec, Segments segments, Tensor z, Tensor lse) {
        ScalarAttention.attention(q, k, v, spec, segments, z, lse);
    }

    @Override
    public void attentionVjp(
            Tensor dz,
            AttentionSaved saved,
            AttentionSpec spec,
            Segments segments,
            AttentionRule rule,
            AttentionCotangents out) {
        ScalarAttention.attentionVjp(dz, saved, spec, segments, rule, out);
    }

    @Override
    public void attentionPattern(
            AttentionSaved saved, AttentionSpec spec, Segments segments, int prompt, Tensor pattern) {
        ScalarAttention.attentionPattern(saved, spec, segments, prompt, pattern);
    }

    @Override
    public void activation(Activation f, Tensor x, Tensor y) {
        ScalarElementwise.activation(f, x, y);
    }

    @Override
    public void activationVjp(Activation f, Tensor dy, Tensor x, Tensor dx) {
        ScalarElementwise.activationVjp(f, dy, x, dx);
    }

    @Override
    public void gated(Activation f, Tensor gate, Tensor up, Tensor y) {
        ScalarElementwise.gated(f, gate, up, y);
    }

    @Override
    public void gatedVjp(Activation f, Tensor dy, Tensor gate, Tensor up, Tensor dGate, Tensor dUp) {
        ScalarElementwise.gatedVjp(f, dy, gate, up, dGate, dUp);
    }

    @Override
    public void softCap(double cap, Tensor x) {
        ScalarElementwise.softCap(cap, x);
    }
}

package obsprop.kernel.cpu;

import static obsprop.kernel.cpu.Lanes.BYTES;
import static obsprop.kernel.cpu.Lanes.load;
import static obsprop.kernel.cpu.Lanes.store;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import obsprop.kernel.Activation;

/**
 * f and f' over whole vectors of consecutive floats, one loop per function. GELU_TANH, QUICK_GELU and SILU are all
 * {@code x * sigmoid(u(x))}, which has no cancellation for large negative x.
 */
final class Activations {
    /** sqrt(8 / pi): u = C (x + A x^3), as 1 + tanh(z) = 2 sigmoid(2 z). */
    private static final float C = 1.5957691216f;

    private static final float A = 0.044715f;
    private static final float QUICK = 1.702f;
    private static final float SQRT_HALF = 0.70710678f;
    /** 1 / sqrt(2 pi). */
    private static final float DENSITY = 0.39894228f;

    private Activations() {}

    /** {@code y = f(x)} for {@code bytes}, a multiple of the vector; y may be x. */
    static void value(Activation f, MemorySegment x, long xAt, MemorySegment y, long yAt, long bytes) {
        switch (f) {
            case GELU_ERF -> geluErf(x, xAt, y, yAt, bytes);
            case GELU_TANH -> geluTanh(x, xAt, y, yAt, bytes);
            case QUICK_GELU -> swish(QUICK, x, xAt, y, yAt, bytes);
            case SILU -> swish(1f, x, xAt, y, yAt, bytes);
            case RELU -> {
                for (long i = 0; i < bytes; i += BYTES) {
                    FloatVector v = load(x, xAt + i);
                    store(v.blend(0f, v.compare(VectorOperators.LE, 0f)), y, yAt + i);
                }
            }
            case RELU_SQUARED -> {
                for (long i = 0; i < bytes; i += BYTES) {
                    FloatVector v = load(x, xAt + i);
                    store(v.mul(v).blend(0f, v.compare(VectorOperators.LE, 0f)), y, yAt + i);
                }
            }
            case TANH -> {
                for (long i = 0; i < bytes; i += BYTES) {
                    store(VectorMath.tanh(load(x, xAt + i)), y, yAt + i);
                }
            }
            case SIGMOID -> {
                for (long i = 0; i < bytes; i += BYTES) {
                    store(VectorMath.sigmoid(load(x, xAt + i)), y, yAt + i);
                }
            }
            case IDENTITY -> {
                for (long i = 0; i < bytes; i += BYTES) {
                    store(load(x, xAt + i), y, yAt + i);
                }
            }
        }
    }

    private static void geluErf(MemorySegment x, long xAt, MemorySegment y, long yAt, long bytes) {
        for (long i = 0; i < bytes; i += BYTES) {
            FloatVector v = load(x, xAt + i);
            FloatVector half = v.mul(0.5f);
            store(VectorMath.erf(v.mul(SQRT_HALF)).fma(half, half), y, yAt + i);
        }
    }

    private static void geluTanh(MemorySegment x, long xAt, MemorySegment y, long yAt, long bytes) {
        for (long i = 0; i < bytes; i += BYTES) {
            FloatVector v = load(x, xAt + i);
            FloatVector u = v.mul(v).fma(C * A, C).mul(v);
            store(VectorMath.sigmoid(u).mul(v), y, yAt + i);
        }
    }

    private static void swish(float rate, MemorySegment x, long xAt, MemorySegment y, long yAt, long bytes) {
        for (long i = 0; i < bytes; i += BYTES) {
            FloatVector v = load(x, xAt + i);
            store(VectorMath.sigmoid(v.mul(rate)).mul(v), y, yAt + i);
        }
    }

    /** {@code y = f'(x)} for {@code bytes}, a multiple of the vector; y may be x. */
    static void slope(Activation f, MemorySegment x, long xAt, MemorySegment y, long yAt, long bytes) {
        switch (f) {
            case GELU_ERF -> geluErfSlope(x, xAt, y, yAt, bytes);
            case GELU_TANH -> geluTanhSlope(x, xAt, y, yAt, bytes);
            case QUICK_GELU -> swishSlope(QUICK, x, xAt, y, yAt, bytes);
            case SILU -> swishSlope(1f, x, xAt, y, yAt, bytes);
            case RELU -> {
                for (long i = 0; i < bytes; i += BYTES) {
                    VectorMask<Float> positive = load(x, xAt + i).compare(VectorOperators.GT, 0f);
                    store(FloatVector.zero(Lanes.F).blend(1f, positive), y, yAt + i);
                }
            }
            case RELU_SQUARED -> {
                for (long i = 0; i < bytes; i += BYTES) {
                    FloatVector v = load(x, xAt + i);
                    store(v.add(v).blend(0f, v.compare(VectorOperators.LE, 0f)), y, yAt + i);
                }
            }
            case TANH -> {
                for (long i = 0; i < bytes; i += BYTES) {
                    // 1 - tanh^2 = 4 sigmoid'(2x), without the cancellation
                    FloatVector v = load(x, xAt + i);
                    store(VectorMath.sigmoidSlope(v.add(v)).mul(4f), y, yAt + i);
                }
            }
            case SIGMOID -> {
                for (long i = 0; i < bytes; i += BYTES) {
                    store(VectorMath.sigmoidSlope(load(x, xAt + i)), y, yAt + i);
                }
            }
            case IDENTITY -> {
                for (long i = 0; i < bytes; i += BYTES) {
                    store(FloatVector.broadcast(Lanes.F, 1f), y, yAt + i);
                }
            }
        }
    }

    /** Phi(x) + x phi(x). */
    private static void geluErfSlope(MemorySegment x, long xAt, MemorySegment y, long yAt, long bytes) {
        for (long i = 0; i < bytes; i += BYTES) {
            FloatVector v = load(x, xAt + i);
            FloatVector density = VectorMath.exp(v.mul(v).mul(-0.5f)).mul(DENSITY);
            FloatVector mass = VectorMath.erf(v.mul(SQRT_HALF)).fma(0.5f, 0.5f);
            store(v.fma(density, mass), y, yAt + i);
        }
    }

    /** s(u) + x s'(u) u'. */
    private static void geluTanhSlope(MemorySegment x, long xAt, MemorySegment y, long yAt, long bytes) {
        for (long i = 0; i < bytes; i += BYTES) {
            FloatVector v = load(x, xAt + i);
            FloatVector square = v.mul(v);
            FloatVector u = square.fma(C * A, C).mul(v);
            FloatVector du = square.fma(3 * C * A, C);
            store(slope(u, du.mul(v)), y, yAt + i);
        }
    }

    private static void swishSlope(float rate, MemorySegment x, long xAt, MemorySegment y, long yAt, long bytes) {
        for (long i = 0; i < bytes; i += BYTES) {
            FloatVector u = load(x, xAt + i).mul(rate);
            store(slope(u, u), y, yAt + i);
        }
    }

    /** s(u) + factor s'(u), from one exponential. */
    private static FloatVector slope(FloatVector u, FloatVector factor) {
        FloatVector e = VectorMath.exp(u.abs().neg());
        FloatVector r = FloatVector.broadcast(Lanes.F, 1f).div(e.add(1f));
        FloatVector re = r.mul(e);
        FloatVector mass = r.blend(re, u.compare(VectorOperators.LT, 0f));
        // e underflows before the cubic factor overflows: keep 0 * inf out
        FloatVector bounded = factor.blend(0f, e.compare(VectorOperators.EQ, 0f));
        return re.mul(r).fma(bounded, mass);
    }

    /** {@code y = cap * tanh(x / cap)}; y may be x. */
    static void softCap(float cap, MemorySegment x, long xAt, MemorySegment y, long yAt, long bytes) {
        float inverse = 1 / cap;
        for (long i = 0; i < bytes; i += BYTES) {
            store(VectorMath.tanh(load(x, xAt + i).mul(inverse)).mul(cap), y, yAt + i);
        }
    }
}

package obsprop.kernel.cpu;

import static obsprop.kernel.cpu.Lanes.BYTES;
import static obsprop.kernel.cpu.Lanes.load;
import static obsprop.kernel.cpu.Lanes.store;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import obsprop.kernel.Activation;
import obsprop.kernel.cpu.Scratch.Slot;

/** f and f' over strips of scratch memory (see {@link VectorMath}). */
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
    static void value(Activation f, MemorySegment x, MemorySegment y, Scratch scratch, int bytes) {
        MemorySegment u = scratch.floats(Slot.ARGUMENT, bytes / 4);
        MemorySegment e = scratch.floats(Slot.EXPONENTIAL, bytes / 4);
        switch (f) {
            case GELU_ERF -> geluErf(x, y, u, e, bytes);
            case GELU_TANH -> Swish.value(C, C * A, x, y, bytes);
            case QUICK_GELU -> Swish.value(QUICK, 0, x, y, bytes);
            case SILU -> Swish.value(1, 0, x, y, bytes);
            case RELU -> relu(x, y, bytes);
            case RELU_SQUARED -> {
                relu(x, u, bytes);
                multiply(u, u, y, bytes);
            }
            case TANH -> VectorMath.tanh(x, y, e, bytes);
            case SIGMOID -> VectorMath.sigmoid(x, y, e, bytes);
            case IDENTITY -> MemorySegment.copy(x, 0, y, 0, bytes);
        }
    }

    /** {@code y = f'(x)} for {@code bytes}, a multiple of the vector; y may be x. */
    static void slope(Activation f, MemorySegment x, MemorySegment y, Scratch scratch, int bytes) {
        MemorySegment u = scratch.floats(Slot.ARGUMENT, bytes / 4);
        MemorySegment e = scratch.floats(Slot.EXPONENTIAL, bytes / 4);
        switch (f) {
            case GELU_ERF -> geluErfSlope(x, y, u, e, bytes);
            case GELU_TANH -> Swish.slope(C, C * A, x, y, bytes);
            case QUICK_GELU -> Swish.slope(QUICK, 0, x, y, bytes);
            case SILU -> Swish.slope(1, 0, x, y, bytes);
            case RELU -> step(x, y, bytes);
            case RELU_SQUARED -> {
                relu(x, u, bytes);
                scale(2, u, y, bytes);
            }
            case TANH -> {
                // 1 - tanh^2 = 4 sigmoid'(2x), without the cancellation
                scale(2, x, u, bytes);
                VectorMath.sigmoidSlope(u, u, e, bytes);
                scale(4, u, y, bytes);
            }
            case SIGMOID -> VectorMath.sigmoidSlope(x, y, e, bytes);
            case IDENTITY -> Softmax.fill(y, 0, bytes / 4, 1);
        }
    }

    /** {@code y = cap * tanh(x / cap)}; y may be x. */
    static void softCap(float cap, MemorySegment x, MemorySegment y, Scratch scratch, int bytes) {
        MemorySegment e = scratch.floats(Slot.EXPONENTIAL, bytes / 4);
        scale(1 / cap, x, y, bytes);
        VectorMath.tanh(y, y, e, bytes);
        scale(cap, y, y, bytes);
    }

    private static void scale(float factor, MemorySegment x, MemorySegment y, int bytes) {
        for (int i = 0; i < bytes; i += BYTES) {
            store(load(x, i).mul(factor), y, i);
        }
    }

    private static void multiply(MemorySegment a, MemorySegment b, MemorySegment y, int bytes) {
        for (int i = 0; i < bytes; i += BYTES) {
            store(load(a, i).mul(load(b, i)), y, i);
        }
    }

    private static void relu(MemorySegment x, MemorySegment y, int bytes) {
        for (int i = 0; i < bytes; i += BYTES) {
            FloatVector v = load(x, i);
            store(v.blend(0f, v.compare(VectorOperators.LE, 0f)), y, i);
        }
    }

    private static void step(MemorySegment x, MemorySegment y, int bytes) {
        for (int i = 0; i < bytes; i += BYTES) {
            VectorMask<Float> positive = load(x, i).compare(VectorOperators.GT, 0f);
            store(FloatVector.zero(Lanes.F).blend(1f, positive), y, i);
        }
    }

    private static void geluErf(MemorySegment x, MemorySegment y, MemorySegment u, MemorySegment e, int bytes) {
        scale(SQRT_HALF, x, u, bytes);
        VectorMath.erf(u, u, e, bytes);
        for (int i = 0; i < bytes; i += BYTES) {
            FloatVector half = load(x, i).mul(0.5f);
            store(load(u, i).fma(half, half), y, i);
        }
    }

    /** Phi(x) + x phi(x). */
    private static void geluErfSlope(MemorySegment x, MemorySegment y, MemorySegment u, MemorySegment e, int bytes) {
        scale(SQRT_HALF, x, u, bytes);
        VectorMath.erf(u, u, e, bytes);
        for (int i = 0; i < bytes; i += BYTES) {
            FloatVector v = load(x, i);
            store(v.mul(v).mul(-0.5f), e, i);
        }
        VectorMath.exp(e, 0, e, 0, bytes);
        for (int i = 0; i < bytes; i += BYTES) {
            FloatVector density = load(e, i).mul(DENSITY);
            FloatVector mass = load(u, i).fma(0.5f, 0.5f);
            store(load(x, i).fma(density, mass), y, i);
        }
    }
}

package obsprop.kernel;

import java.lang.foreign.Arena;
import java.util.List;
import java.util.Optional;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;

/**
 * The numeric operations a backend offers: everything the layers are made of, forward and VJP.
 *
 * <p>Letters: N rows of activations (tokens of a ragged batch), K cotangents per activation row, n a width, H heads,
 * G key/value heads (H a multiple of G; head h reads k and v of head {@code h / (H/G)}), D head width.
 *
 * <p><b>Layout.</b> Every tensor has stride 1 along its last axis; other strides are free, so views of fused buffers are
 * legal everywhere. Activations have type {@link #activationType()}; weights (GEMM operand {@code b}, tables, gains,
 * biases) may be F32, F16 or BF16 and are widened on the fly. Accumulation is at least F32.
 *
 * <p><b>K cotangents.</b> A VJP takes cotangents of K * N rows beside saved values of N rows: cotangent row r pairs with
 * saved row {@code r % N}. Saved values are never replicated.
 *
 * <p><b>Aliasing.</b> Outputs must not overlap inputs, unless an operation says that it works in place.
 *
 * <p><b>Checks.</b> The layers check shapes once when they are built; kernels trust them (asserts aside). Results do not
 * depend on the number of threads, to the bit.
 */
public interface Kernels {
    /** One line in words: what does the arithmetic, for instance {@code "Vector API, 512 bit, 2 threads"}. */
    String describe();

    /** Type of activations and cotangents: F32, or F64 for the proving form of the scalar kernels. */
    DType activationType();

    /** Elements of the widest cotangents that a sweep with many of them best works on at once. */
    default long sweepElements() {
        return 1L << 24;
    }

    /** Work that is run again and again; see {@link #replay}. To be closed before what the work uses. */
    interface Replay extends AutoCloseable {
        /** Runs the work, or what it did. */
        void run();

        /** Why the work is run each time although it was to be recorded, once that was tried in vain. */
        default Optional<String> refusal() {
            return Optional.empty();
        }

        @Override
        void close();
    }

    /**
     * Prepares work for being run often. A device may record what it does and from then on launch that as one thing, so the
     * work must do the same operations on the same tensors each time, allocate nothing, and neither read from nor write to the
     * host. Arrays that it passes, of tokens or positions, are read again at each run: change them in place. Work of which
     * that is not true still runs each time where the device notices, but is not faster.
     */
    default Replay replay(Runnable work) {
        return new Replay() {
            @Override
            public void run() {
                work.run();
            }

            @Override
            public void close() {
                // nothing was recorded
            }
        };
    }

    // ---- memory

    /** A new arena, open to all threads, for tensors that are used and freed together, about {@code bytes} of them. */
    default Arena newArena(long bytes) {
        return Arena.ofShared();
    }

    /** A contiguous, zeroed tensor of {@link #activationType()} where this backend computes; freed with {@code arena}. */
    Tensor allocate(Arena arena, int... shape);

    /**
     * The weight {@code host} where this backend computes: the same view on a CPU, an upload in its own type on a
     * device. Strides are kept or made contiguous as the backend likes; the shape stays.
     */
    Tensor place(Arena arena, Tensor host);

    /**
     * A transposed copy of a placed weight [out,in], where this backend multiplies by it faster than by the weight's
     * transpose and the copy costs little; nothing otherwise. The weight must not change afterwards.
     */
    default Optional<Tensor> transposed(Arena arena, Tensor weight) {
        return Optional.empty();
    }

    /**
     * Weights [m_i] or [m_i,n] of one block placed as one, [sum m_i] or [sum m_i, n], so that several maps of the same input
     * are one product; empty where this backend leaves weights where they lie, or where they do not fit together.
     */
    default Optional<Tensor> placeStacked(Arena arena, List<Tensor> hosts) {
        return Optional.empty();
    }

    /**
     * As {@link #place}, for a weight of block {@code layer}: a device may leave it on the host, as it is, until an operation
     * needs it. Weights of one arena and layer are needed together.
     */
    default Tensor placeOfLayer(Arena arena, Tensor host, int layer) {
        return place(arena, host);
    }

    /** Copies element by element between views of one shape, across places and real types, rounding to nearest even. */
    void copy(Tensor from, Tensor to);

    /** Sets every element to zero. */
    void zero(Tensor x);

    /**
     * Runs independent operations, number 0 to {@code count - 1}. A backend may run them at the same time, each by kernels of its own: where
     * single ones are too small to be shared out.
     */
    default void each(int count, Numbered operation) {
        for (int i = 0; i < count; i++) {
            operation.run(i, this);
        }
    }

    /** One of some operations, to be run by the kernels that it is given. */
    interface Numbered {
        void run(int number, Kernels kernels);
    }

    // ---- dense algebra

    /**
     * {@code c[m,n] (+)= op(a)[m,k] op(b)[k,n]}, with {@code op(x) = x} or its transpose.
     *
     * @param a of the activation type (or a weight type, where b is then of the activation type)
     * @param b usually the weight: {@code X W^T} for W [out,in] is {@code gemm(X, NO, W, YES, ...)}, its VJP
     *     {@code dY W} is {@code gemm(dY, NO, W, NO, ...)}
     * @param c of the activation type
     */
    void gemm(Tensor a, Transpose transA, Tensor b, Transpose transB, Tensor c, Write write);

    /**
     * {@code y (+)= x op(weight) + bias}, for x [N,k], bias [n], y [N,n]: what a backend may do in one pass, like the next
     * two; otherwise it is composed of the other operations.
     */
    default void linear(Tensor x, Tensor weight, Transpose transpose, Optional<Tensor> bias, Tensor y, Write write) {
        if (bias.isPresent()) {
            broadcast(bias.get(), y, write);
            gemm(x, Transpose.NO, weight, transpose, y, Write.ACCUMULATE);
        } else {
            gemm(x, Transpose.NO, weight, transpose, y, write);
        }
    }

    /**
     * What each head by itself adds to an output projection: {@code y[h,:] = W[:,h D..(h+1) D] x[h D..(h+1) D]}, overwritten; x [1,H D],
     * weight [n,H D], y [H,n].
     *
     * @return false, nothing being done, where the kernels have no better way than {@link #linear} of masked rows
     */
    default boolean headProducts(Tensor x, Tensor weight, Tensor y) {
        return false;
    }

    /** {@code y[r,:] (+)= row[:]} for every row r of y [N,n]. */
    void broadcast(Tensor row, Tensor y, Write write);

    /** {@code y += alpha * x}, for two views of one shape of rank 1 to 3. */
    void addScaled(double alpha, Tensor x, Tensor y);

    /**
     * {@code y[r,:] (+)= scale * table[ids[r],:]} for every row r of y [N,n].
     *
     * @param table [V,n]
     * @param ids N row numbers, all in range
     */
    void gather(Tensor table, int[] ids, double scale, Tensor y, Write write);

    // ---- normalisation

    /**
     * {@code y = norm(x)} over the last axis; see {@link NormParameters}.
     *
     * @param x [N,n], or [N,H,n] with H independent rows each
     * @param y as x; may be x itself
     * @param stats [N,2] or [N,H,2]: written with mean (0 for RMS) and rstd of each row
     */
    void norm(Tensor x, NormParameters parameters, Tensor y, Tensor stats);

    /**
     * VJP of {@link #norm}: {@code dx (+)= J^T dy} at x, under {@code rule}.
     *
     * @param dy [K*N,n] or [K*N,H,n]
     * @param x the forward's input, [N,n] or [N,H,n]
     * @param stats as the forward wrote it
     * @param dx as dy; may be dy itself with OVERWRITE
     */
    void normVjp(Tensor dy, Tensor x, Tensor stats, NormParameters parameters, NormRule rule, Tensor dx, Write write);

    // ---- attention

    /**
     * Rotates pairs of coordinates of every head, in place: {@code (a, b) <- (a cos - b sin, a sin + b cos)}; the VJP is
     * the same call with {@code inverse}, which rotates back.
     *
     * @param x [R,H,D] with R = K*N rows; row r has position {@code positions[r % N]}
     * @param positions N positions, each less than the rows of the tables
     * @param cos [P,m], the cosine of each pair's angle at each position; only the first 2m coordinates turn
     * @param sin [P,m]
     */
    void rotate(Tensor x, int[] positions, Tensor cos, Tensor sin, RotaryStyle style, boolean inverse);

    /**
     * Causal attention within each prompt: {@code z[t,h] = sum_j A_h[t,j] v[j,h/(H/G)]}, see {@link AttentionSpec}.
     * Memory does not grow with T^2.
     *
     * @param q [N,H,D]
     * @param k [N,G,D]
     * @param v [N,G,D]
     * @param z [N,H,D], written
     * @param lse [N,H], written: log of the sum of exp(score) over the permitted keys, from which
     *     {@code A = exp(s - lse)}
     */
    void attention(Tensor q, Tensor k, Tensor v, AttentionSpec spec, Segments segments, Tensor z, Tensor lse);

    /**
     * VJP of {@link #attention}. With {@code dA[t,j] = dz[t] . v[j]}: {@code dv[j] = sum_t A[t,j] dz[t]} (summed over
     * the heads of a group); under EXACT also {@code ds = A (dA - sum_j A dA)}, times {@code 1 - (s/cap)^2} under a soft
     * cap, {@code dq[t] = scale sum_j ds[t,j] k[j]}, {@code dk[j] = scale sum_t ds[t,j] q[t]}. All overwritten; under
     * FROZEN dq and dk are left untouched.
     *
     * @param dz [K*N,H,D]
     * @param dq [K*N,H,D]
     * @param dk [K*N,G,D]
     * @param dv [K*N,G,D]
     */
    void attentionVjp(
            Tensor dz,
            AttentionSaved saved,
            AttentionSpec spec,
            Segments segments,
            AttentionRule rule,
            AttentionCotangents out);

    /**
     * The pattern of one prompt, from the saved values: {@code pattern[h,t,j]}, zero where key j is not permitted.
     *
     * @param prompt which of the segments
     * @param pattern [H,T,T], written
     */
    void attentionPattern(AttentionSaved saved, AttentionSpec spec, Segments segments, int prompt, Tensor pattern);

    /** What the forward pass of attention leaves for its VJP: q [N,H,D], k and v [N,G,D], z [N,H,D], lse [N,H]. */
    record AttentionSaved(Tensor q, Tensor k, Tensor v, Tensor z, Tensor lse) {}

    /** Cotangents of q [K*N,H,D] and of k and v [K*N,G,D]. */
    record AttentionCotangents(Tensor dq, Tensor dk, Tensor dv) {}

    // ---- elementwise

    /** {@code y = f(x)} for x and y [N,n]; y may be x. */
    void activation(Activation f, Tensor x, Tensor y);

    /** {@code dx = f'(x) * dy}, overwritten; dy and dx [K*N,n], x [N,n]; dx may be dy. */
    void activationVjp(Activation f, Tensor dy, Tensor x, Tensor dx);

    /** {@code y = f(gate) * up} for [N,n]; y may be gate or up. */
    void gated(Activation f, Tensor gate, Tensor up, Tensor y);

    /**
     * VJP of {@link #gated}, overwritten: {@code dGate = dy * up * f'(gate)}, {@code dUp = dy * f(gate)}; dy, dGate, dUp
     * [K*N,n], gate and up [N,n]; dGate or dUp may be dy.
     */
    void gatedVjp(Activation f, Tensor dy, Tensor gate, Tensor up, Tensor dGate, Tensor dUp);

    /** {@code x <- cap * tanh(x / cap)}, in place, for x [N,n]. */
    void softCap(double cap, Tensor x);
}

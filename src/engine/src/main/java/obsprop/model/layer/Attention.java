package obsprop.model.layer;

import java.lang.foreign.Arena;
import java.util.List;
import java.util.Optional;
import obsprop.kernel.AttentionRule;
import obsprop.kernel.AttentionSpec;
import obsprop.kernel.Kernels;
import obsprop.kernel.NormRule;
import obsprop.kernel.Segments;
import obsprop.kernel.Write;
import obsprop.tensor.Tensor;

/**
 * Causal self-attention: projection to queries, keys and values, optional norms and rotation of queries and keys,
 * weighted sum of values, output projection.
 *
 * @param output [d, H D], bias included
 */
public record Attention(
        QkvProjection projection,
        Optional<QueryKeyNorm> queryKeyNorm,
        Optional<Rotary> rotary,
        AttentionSpec spec,
        Linear output) {

    /**
     * What the forward pass leaves behind, for N rows.
     *
     * @param projected [N, (H + 2G) D]: rotated in place where there is no query-key norm
     * @param columns the parts of projected that each linear map writes
     * @param rawQueries the projected queries before norm and rotation (a view of projected); the same as
     *     {@code inputs.q()} where there is no query-key norm
     * @param rawKeys likewise
     * @param queryStats statistics of the query norm, [N,H,2] or [N,2]; empty where there is none
     * @param keyStats likewise
     * @param inputs q, k, v, z and lse as the attention kernel saw and left them
     * @param mixed [N, H D]: {@code inputs.z()}, the heads' weighted values, before the output projection
     */
    public record State(
            Tensor projected,
            List<Tensor> columns,
            Tensor rawQueries,
            Tensor rawKeys,
            Tensor queryStats,
            Tensor keyStats,
            Kernels.AttentionSaved inputs,
            Tensor mixed) {}

    /**
     * Scratch of the VJP, for K*N rows.
     *
     * @param dProjected [K*N, (H + 2G) D]
     * @param columns the parts of dProjected that each linear map reads
     * @param dValues the part of it that belongs to the values
     * @param d its views as queries, keys and values
     * @param dMixed [K*N, H D]
     * @param dMixedHeads the same as [K*N, H, D]
     */
    public record Cotangents(
            Tensor dProjected,
            List<Tensor> columns,
            Tensor dValues,
            Kernels.AttentionCotangents d,
            Tensor dMixed,
            Tensor dMixedHeads) {
        /** The same scratch for fewer rows. */
        Cotangents firstRows(int rows) {
            var fewer = new Kernels.AttentionCotangents(
                    d.dq().slice(0, 0, rows), d.dk().slice(0, 0, rows), d.dv().slice(0, 0, rows));
            return new Cotangents(
                    dProjected.slice(0, 0, rows),
                    columns.stream().map(c -> c.slice(0, 0, rows)).toList(),
                    dValues.slice(0, 0, rows),
                    fewer,
                    dMixed.slice(0, 0, rows),
                    dMixedHeads.slice(0, 0, rows));
        }
    }

    public int nHeads() {
        return projection.nHeads();
    }

    public int dHead() {
        return projection.dHead();
    }

    /** The key/value head that query head {@code head} reads. */
    public int group(int head) {
        return head / (projection.nHeads() / projection.nKvHeads());
    }

    /** {@code W_V[group(head)]}: normed input [N,d] to values [N,D], with its bias. */
    public Linear value(int head) {
        return projection.valueMap(group(head));
    }

    /** {@code W_O[head]}: the head's weighted values [N,D] to its part of the output [N,d], without the bias. */
    public Linear output(int head) {
        return output.inputs(head * dHead(), (head + 1) * dHead());
    }

    public State allocate(Kernels kernels, Arena arena, int rows) {
        int h = nHeads();
        int g = projection.nKvHeads();
        Tensor projected = kernels.allocate(arena, rows, projection.width());
        Tensor rawQ = projection.queries(projected);
        Tensor rawK = projection.keys(projected);
        Tensor none = kernels.allocate(arena, 0);
        boolean normed = queryKeyNorm.isPresent();
        Tensor q = normed ? kernels.allocate(arena, rows, h, dHead()) : rawQ;
        Tensor k = normed ? kernels.allocate(arena, rows, g, dHead()) : rawK;
        Tensor qStats = queryKeyNorm.map(n -> kernels.allocate(arena, n.reach().statsShape(rows, h))).orElse(none);
        Tensor kStats = queryKeyNorm.map(n -> kernels.allocate(arena, n.reach().statsShape(rows, g))).orElse(none);
        Tensor lse = kernels.allocate(arena, rows, h);
        Tensor mixed = kernels.allocate(arena, rows, h * dHead());
        var saved = new Kernels.AttentionSaved(q, k, projection.values(projected), mixed.unflatten(1, h, dHead()), lse);
        return new State(projected, projection.columns(projected), rawQ, rawK, qStats, kStats, saved, mixed);
    }

    public Cotangents allocateCotangents(Kernels kernels, Arena arena, int rows) {
        Tensor dProjected = kernels.allocate(arena, rows, projection.width());
        Tensor dMixed = kernels.allocate(arena, rows, nHeads() * dHead());
        var d = new Kernels.AttentionCotangents(
                projection.queries(dProjected), projection.keys(dProjected), projection.values(dProjected));
        return new Cotangents(dProjected, projection.columns(dProjected), projection.valueColumns(dProjected), d,
                dMixed, dMixed.unflatten(1, nHeads(), dHead()));
    }

    /** {@code y (+)= attention(x)}: x the normed input [N,d], y [N,d]; fills {@code state}. */
    public void forward(Kernels kernels, Tensor x, Segments segments, State state, Tensor y, Write write) {
        project(kernels, x, segments, state);
        var in = state.inputs;
        kernels.attention(in.q(), in.k(), in.v(), spec, segments, in.z(), in.lse());
        output.forward(kernels, state.mixed, y, write);
    }

    /** The part of {@link #forward} that makes q, k and v of {@code state}, normed and rotated. */
    public void project(Kernels kernels, Tensor x, Segments segments, State state) {
        project(kernels, x, segments.positions(), segments.longest(), state);
    }

    /** The same for rows at any positions, row r at {@code positions[r]}, each less than {@code longest}. */
    public void project(Kernels kernels, Tensor x, int[] positions, int longest, State state) {
        projection.forward(kernels, x, state.columns);
        var in = state.inputs;
        if (queryKeyNorm.isPresent()) {
            QueryKeyNorm norm = queryKeyNorm.get();
            var reach = norm.reach();
            norm.query().forward(kernels, reach.rows(state.rawQueries), reach.rows(in.q()), state.queryStats);
            norm.key().forward(kernels, reach.rows(state.rawKeys), reach.rows(in.k()), state.keyStats);
        }
        if (rotary.isPresent()) {
            rotary.get().forward(kernels, in.q(), positions, longest);
            rotary.get().forward(kernels, in.k(), positions, longest);
        }
    }

    /**
     * Transposes {@code y = attention(x)}: {@code dx = J^T dy}, dy and dx [K*N,d].
     *
     * @param normRule for the norms on queries and keys
     */
    public void vjp(
            Kernels kernels, Tensor dy, Segments segments, State state, Cotangents scratch,
            AttentionRule rule, NormRule normRule, Tensor dx) {
        output.vjp(kernels, dy, scratch.dMixed, Write.OVERWRITE);
        vjpOfMixed(kernels, segments, state, scratch, rule, normRule, dx);
    }

    /** The rest of {@link #vjp} from the heads' weighted values, whose cotangent is {@code scratch.dMixed()}. */
    public void vjpOfMixed(
            Kernels kernels, Segments segments, State state, Cotangents scratch,
            AttentionRule rule, NormRule normRule, Tensor dx) {
        kernels.attentionVjp(scratch.dMixedHeads, state.inputs, spec, segments, rule, scratch.d);
        if (rule == AttentionRule.FROZEN) {
            projection.vjpOfValues(kernels, scratch.d, scratch.dValues, dx);
            return;
        }
        unproject(kernels, segments, state, scratch, normRule);
        projection.vjp(kernels, scratch.columns, dx);
    }

    /** Transposes rotation and norm of the queries and keys, in place. */
    private void unproject(Kernels kernels, Segments segments, State state, Cotangents scratch, NormRule normRule) {
        Tensor dq = scratch.d.dq();
        Tensor dk = scratch.d.dk();
        if (rotary.isPresent()) {
            rotary.get().vjp(kernels, dq, segments.positions(), segments.longest());
            rotary.get().vjp(kernels, dk, segments.positions(), segments.longest());
        }
        if (queryKeyNorm.isPresent()) {
            QueryKeyNorm norm = queryKeyNorm.get();
            var reach = norm.reach();
            Tensor dQueries = reach.rows(dq);
            Tensor dKeys = reach.rows(dk);
            norm.query().vjp(kernels, dQueries, reach.rows(state.rawQueries), state.queryStats, normRule,
                    dQueries, Write.OVERWRITE);
            norm.key().vjp(kernels, dKeys, reach.rows(state.rawKeys), state.keyStats, normRule, dKeys, Write.OVERWRITE);
        }
    }
}

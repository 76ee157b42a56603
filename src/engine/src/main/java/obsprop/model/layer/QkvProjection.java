package obsprop.model.layer;

import java.util.ArrayList;
import java.util.List;
import obsprop.kernel.Kernels;
import obsprop.kernel.Write;
import obsprop.tensor.Tensor;

/**
 * Queries, keys and values of a layer, however the checkpoint fuses them. The projected rows are [N, width] with
 * width = (H + 2G) D; {@link #queries}, {@link #keys} and {@link #values} are views of them. Immutable.
 */
public final class QkvProjection {
    private final List<Linear> parts;
    private final Arrangement arrangement;
    private final int nHeads;
    private final int nKvHeads;
    private final int dHead;
    /** The map to all values where their columns lie together, made once as views cost an allocation. */
    private final Linear allValues;

    /** Order of the columns. */
    public enum Arrangement {
        /** All queries, all keys, all values. */
        BY_ROLE,
        /** For each head its query, key and value (GPT-NeoX). */
        BY_HEAD
    }

    private enum Role {
        QUERY,
        KEY,
        VALUE
    }

    /** @param parts linear maps that write consecutive columns, in order */
    public QkvProjection(List<Linear> parts, Arrangement arrangement, int nHeads, int nKvHeads, int dHead) {
        this.parts = List.copyOf(parts);
        this.arrangement = arrangement;
        this.nHeads = nHeads;
        this.nKvHeads = nKvHeads;
        this.dHead = dHead;
        int width = parts.stream().mapToInt(Linear::outputs).sum();
        if (width != (nHeads + 2 * nKvHeads) * dHead || nHeads % nKvHeads != 0) {
            throw new IllegalArgumentException("projection of width " + width + " for " + nHeads + " query and "
                    + nKvHeads + " key/value heads of width " + dHead);
        }
        allValues = arrangement == Arrangement.BY_ROLE ? map(firstColumn(Role.VALUE), nKvHeads * dHead) : parts.getFirst();
    }

    /** The linear maps that write consecutive columns, in order. */
    public List<Linear> parts() {
        return parts;
    }

    public int nHeads() {
        return nHeads;
    }

    public int nKvHeads() {
        return nKvHeads;
    }

    public int dHead() {
        return dHead;
    }

    public int width() {
        return (nHeads + 2 * nKvHeads) * dHead;
    }

    /** The query view [N,H,D] of projected rows [N,width]. */
    public Tensor queries(Tensor projected) {
        return view(projected, Role.QUERY);
    }

    /** The key view [N,G,D]. */
    public Tensor keys(Tensor projected) {
        return view(projected, Role.KEY);
    }

    /** The value view [N,G,D]. */
    public Tensor values(Tensor projected) {
        return view(projected, Role.VALUE);
    }

    private Tensor view(Tensor projected, Role role) {
        if (arrangement == Arrangement.BY_HEAD) {
            int first = role.ordinal() * dHead;
            return projected.unflatten(1, nHeads, 3 * dHead).slice(2, first, first + dHead);
        }
        int heads = role == Role.QUERY ? nHeads : nKvHeads;
        int first = firstColumn(role);
        return projected.slice(1, first, first + heads * dHead).unflatten(1, heads, dHead);
    }

    private int firstColumn(Role role) {
        return switch (role) {
            case QUERY -> 0;
            case KEY -> nHeads * dHead;
            case VALUE -> (nHeads + nKvHeads) * dHead;
        };
    }

    /** Projected rows [N,width], cut into the columns that each part writes. */
    List<Tensor> columns(Tensor projected) {
        List<Tensor> columns = new ArrayList<>();
        int first = 0;
        for (Linear part : parts) {
            columns.add(projected.slice(1, first, first + part.outputs()));
            first += part.outputs();
        }
        return List.copyOf(columns);
    }

    /** What {@link #vjpOfValues} reads of projected rows: the columns of the values, or all where they lie scattered. */
    Tensor valueColumns(Tensor projected) {
        int first = firstColumn(Role.VALUE);
        return arrangement == Arrangement.BY_ROLE ? projected.slice(1, first, first + nKvHeads * dHead) : projected;
    }

    /** {@code projected = x W^T + b}, x [N,d]; the projected rows as {@link #columns}. */
    void forward(Kernels kernels, Tensor x, List<Tensor> projected) {
        for (int i = 0; i < parts.size(); i++) {
            parts.get(i).forward(kernels, x, projected.get(i), Write.OVERWRITE);
        }
    }

    /** Transposes {@code projected = x W^T + b}: {@code dx = dProjected W}. */
    void vjp(Kernels kernels, List<Tensor> dProjected, Tensor dx) {
        for (int i = 0; i < parts.size(); i++) {
            parts.get(i).vjp(kernels, dProjected.get(i), dx, i == 0 ? Write.OVERWRITE : Write.ACCUMULATE);
        }
    }

    /**
     * The same for the values alone, queries and keys being constants: {@code dx = dValues W_V}.
     *
     * @param d the cotangents as views; those of queries and keys are zeroed where they lie between the values
     * @param dValues as {@link #valueColumns}
     */
    void vjpOfValues(Kernels kernels, Kernels.AttentionCotangents d, Tensor dValues, Tensor dx) {
        if (arrangement == Arrangement.BY_HEAD) {
            kernels.zero(d.dq());
            kernels.zero(d.dk());
        }
        allValues.vjp(kernels, dValues, dx, Write.OVERWRITE);
    }

    /** {@code W_V[g]}, the map from a normed input [N,d] to the values [N,D] of key/value head {@code group}; a view. */
    public Linear valueMap(int group) {
        return map(
                arrangement == Arrangement.BY_HEAD
                        ? (3 * group + 2) * dHead
                        : firstColumn(Role.VALUE) + group * dHead,
                dHead);
    }

    private Linear map(int column, int n) {
        int first = 0;
        for (Linear part : parts) {
            if (column < first + part.outputs()) {
                return part.outputs(column - first, column - first + n);
            }
            first += part.outputs();
        }
        throw new IndexOutOfBoundsException(column);
    }
}

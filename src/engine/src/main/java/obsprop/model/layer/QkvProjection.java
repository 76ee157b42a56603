package obsprop.model.layer;

import java.util.List;
import obsprop.kernel.Kernels;
import obsprop.kernel.Write;
import obsprop.tensor.Tensor;

/**
 * Queries, keys and values of a layer, however the checkpoint fuses them. The projected rows are [N, width] with
 * width = (H + 2G) D; {@link #queries}, {@link #keys} and {@link #values} are views of them.
 *
 * @param parts linear maps that write consecutive columns, in order
 */
public record QkvProjection(List<Linear> parts, Arrangement arrangement, int nHeads, int nKvHeads, int dHead) {
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

    public QkvProjection {
        parts = List.copyOf(parts);
        int width = parts.stream().mapToInt(Linear::outputs).sum();
        if (width != (nHeads + 2 * nKvHeads) * dHead || nHeads % nKvHeads != 0) {
            throw new IllegalArgumentException("projection of width " + width + " for " + nHeads + " query and "
                    + nKvHeads + " key/value heads of width " + dHead);
        }
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

    /** {@code projected = x W^T + b}, x [N,d]. */
    public void forward(Kernels kernels, Tensor x, Tensor projected) {
        int column = 0;
        for (Linear part : parts) {
            part.forward(kernels, x, columns(projected, column, part.outputs()), Write.OVERWRITE);
            column += part.outputs();
        }
    }

    /** Transposes {@code projected = x W^T + b}: {@code dx = dProjected W}. */
    public void vjp(Kernels kernels, Tensor dProjected, Tensor dx) {
        int column = 0;
        for (Linear part : parts) {
            Write write = column == 0 ? Write.OVERWRITE : Write.ACCUMULATE;
            part.vjp(kernels, columns(dProjected, column, part.outputs()), dx, write);
            column += part.outputs();
        }
    }

    /** The same for the values alone, queries and keys being constants: {@code dx = dValues W_V}. */
    public void vjpOfValues(Kernels kernels, Tensor dProjected, Tensor dx) {
        if (arrangement == Arrangement.BY_HEAD) {
            kernels.zero(queries(dProjected));
            kernels.zero(keys(dProjected));
            vjp(kernels, dProjected, dx);
            return;
        }
        int first = firstColumn(Role.VALUE);
        int n = nKvHeads * dHead;
        map(first, n).vjp(kernels, columns(dProjected, first, n), dx, Write.OVERWRITE);
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

    private static Tensor columns(Tensor rows, int first, int n) {
        return n == rows.size(1) ? rows : rows.slice(1, first, first + n);
    }
}

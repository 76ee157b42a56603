package obsprop.analysis.patching;

import java.lang.foreign.Arena;
import obsprop.kernel.Kernels;
import obsprop.kernel.Write;
import obsprop.tensor.Tensor;

/**
 * Turns a function of rows into one of differences, {@code f(clean + difference) - f(clean)}: the clean rows go through
 * f with the others, so that no difference in gives exactly none out.
 *
 * <p>m clean rows (tokens) and m*B differences, token by token: differences {@code i*B <= r < (i+1)*B} belong to clean
 * row i.
 */
final class CleanRows {
    private CleanRows() {}

    /** The m*B rows {@code clean + difference}, followed by the m clean rows themselves. */
    static Tensor append(Kernels kernels, Tensor differences, Tensor clean, Arena arena) {
        int changed = differences.size(0);
        int m = clean.size(0);
        Tensor rows = kernels.allocate(arena, changed + m, clean.size(1));
        Tensor first = rows.slice(0, 0, changed);
        kernels.copy(differences, first);
        add(kernels, clean, first);
        kernels.copy(clean, rows.slice(0, changed, changed + m));
        return rows;
    }

    /** Takes what f made of the m clean rows, the last ones, off what it made of the others: [m*B,n]. */
    static Tensor subtract(Kernels kernels, Tensor rows, int m, Arena arena) {
        int changed = rows.size(0) - m;
        Tensor first = rows.slice(0, 0, changed);
        subtract(kernels, rows.slice(0, changed, changed + m), first, arena);
        return first;
    }

    /** {@code rows -= clean}, for clean [m,n] and rows [m*B,n]. */
    static void subtract(Kernels kernels, Tensor clean, Tensor rows, Arena arena) {
        Tensor negative = kernels.allocate(arena, clean.size(0), clean.size(1));
        kernels.addScaled(-1, clean, negative);
        add(kernels, negative, rows);
    }

    /** {@code rows += clean}, for clean [m,n] and rows [m*B,n]. */
    static void add(Kernels kernels, Tensor clean, Tensor rows) {
        int m = clean.size(0);
        int each = rows.size(0) / m;
        for (int i = 0; i < m; i++) {
            kernels.broadcast(clean.select(0, i), rows.slice(0, i * each, (i + 1) * each), Write.ACCUMULATE);
        }
    }
}

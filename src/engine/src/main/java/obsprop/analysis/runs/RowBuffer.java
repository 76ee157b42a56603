package obsprop.analysis.runs;

import java.lang.foreign.Arena;
import obsprop.kernel.Kernels;
import obsprop.tensor.Tensor;

/** Rows of one width for one call after the other, kept in an arena: to close a shared arena takes longer than many a call. */
public final class RowBuffer {
    private final Kernels kernels;
    private final Arena arena;
    private Tensor rows;

    public RowBuffer(Kernels kernels, Arena arena, int width) {
        this.kernels = kernels;
        this.arena = arena;
        rows = kernels.allocate(arena, 0, width);
    }

    /** [count, width], with anything in it; the next call gives the same memory. */
    public Tensor rows(int count) {
        if (rows.size(0) < count) {
            rows = kernels.allocate(arena, count, rows.size(1));
        }
        return rows.slice(0, 0, count);
    }
}

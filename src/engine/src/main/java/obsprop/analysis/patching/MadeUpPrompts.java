package obsprop.analysis.patching;

import java.lang.foreign.Arena;
import java.util.Arrays;
import obsprop.kernel.AttentionSpec;
import obsprop.kernel.Kernels;
import obsprop.kernel.Segments;
import obsprop.kernel.Write;
import obsprop.tensor.Tensor;

/** Attention over B copies of the first tokens of a prompt, some rows of each changed. */
record MadeUpPrompts(Kernels kernels, AttentionSpec spec, int copies, int length, Arena arena) {

    /** B copies [B,length,h,D] of the first rows of heads [T,h,D]. */
    Tensor repeat(Tensor heads) {
        int h = heads.size(1);
        int width = heads.size(2);
        Tensor once = kernels.allocate(arena, length, h, width);
        kernels.copy(heads.slice(0, 0, length), once);
        Tensor repeated = kernels.allocate(arena, copies, length * h * width);
        kernels.broadcast(once.reshape(length * h * width), repeated, Write.OVERWRITE);
        return repeated.reshape(copies, length, h, width);
    }

    /** The heads' weighted values [B, length, H D], from q [B,length,H,D] and k, v [B,length,G,D]. */
    Tensor mixed(Tensor q, Tensor k, Tensor v) {
        int h = q.size(2);
        int width = q.size(3);
        int rows = copies * length;
        int[] lengths = new int[copies];
        Arrays.fill(lengths, length);
        Tensor z = kernels.allocate(arena, rows, h, width);
        kernels.attention(q.reshape(rows, h, width), k.reshape(rows, k.size(2), width),
                v.reshape(rows, v.size(2), width), spec, new Segments(lengths), z, kernels.allocate(arena, rows, h));
        return z.reshape(copies, length, h * width);
    }
}

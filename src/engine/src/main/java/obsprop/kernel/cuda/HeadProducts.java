package obsprop.kernel.cuda;

import java.lang.foreign.MemorySegment;
import obsprop.cuda.Cublas;
import obsprop.cuda.CudaDevice;
import obsprop.cuda.CudaPrecision;
import obsprop.kernel.Write;
import obsprop.tensor.Tensor;

/**
 * Products with a matrix for each head of each cotangent, in as few batches as their strides allow. A matrix that belongs
 * to a group of heads is read by each of them; as a result it is the sum over them.
 */
final class HeadProducts {
    private final CudaDevice device;
    private final CudaPrecision precision;

    /** @param precision of attention: operands lie in fp32, so BF16 is computed in TF32 */
    HeadProducts(CudaDevice device, CudaPrecision precision) {
        this.device = device;
        this.precision = precision == CudaPrecision.BF16 ? CudaPrecision.TF32 : precision;
    }

    /** H heads, G groups of them, K cotangents. */
    record Counts(int heads, int groups, int cotangents) {}

    /**
     * A row-major matrix for each head or group and each cotangent; strides count elements.
     *
     * @param data the first matrix
     * @param head from head to head, or from group to group
     * @param cotangent from cotangent to cotangent; 0 where all share one
     */
    record Matrices(MemorySegment data, long row, long head, long cotangent, boolean grouped, boolean transposed) {
        /** Rows from {@code first} on of x [R,H,D], a matrix for each head, {@code rows} apart for each cotangent. */
        static Matrices ofHeads(Tensor x, int first, int rows) {
            return of(x, first, rows, false);
        }

        /** The same of x [R,G,D], a matrix for each group. */
        static Matrices ofGroups(Tensor x, int first, int rows) {
            return of(x, first, rows, true);
        }

        private static Matrices of(Tensor x, int first, int rows, boolean grouped) {
            MemorySegment data = at(Launcher.address(x), first * x.stride(0));
            return new Matrices(data, x.stride(0), x.stride(1), rows * x.stride(0), grouped, false);
        }

        /** One for all cotangents. */
        Matrices shared() {
            return new Matrices(data, row, head, 0, grouped, transposed);
        }

        Matrices transpose() {
            return new Matrices(data, row, head, cotangent, grouped, !transposed);
        }

        private Cublas.Operand operand(long offset) {
            return new Cublas.Operand(at(data, offset), row, transposed);
        }

        /** Whether the cotangents' matrices of m rows follow each other as one higher matrix would. */
        private boolean stacks(int m) {
            return !transposed && cotangent == m * row;
        }

        /** From the head-th head of one group to that of the next. */
        private long step(int perGroup) {
            return grouped ? head : perGroup * head;
        }

        private long offset(int headInGroup, int group, int cotangentNumber, int perGroup) {
            return (grouped ? 0 : headInGroup * head) + group * step(perGroup) + cotangentNumber * cotangent;
        }
    }

    private static MemorySegment at(MemorySegment data, long elements) {
        return data.asSlice(elements * Float.BYTES);
    }

    /** {@code c[m,n] (+)= op(a)[m,k] op(b)[k,n]} for every head and cotangent. */
    void multiply(Counts counts, Cublas.Size size, Matrices a, Matrices b, Matrices c, Write write) {
        int k = counts.cotangents;
        if (k > 1 && a.stacks(size.m()) && c.stacks(size.m()) && b.cotangent == 0) {
            var higher = new Cublas.Size(Math.multiplyExact(k, size.m()), size.n(), size.k());
            multiply(new Counts(counts.heads, counts.groups, 1), higher, a, b, c, write);
            return;
        }
        int perGroup = counts.heads / counts.groups;
        for (int r = 0; r < perGroup; r++) {
            boolean accumulate = write == Write.ACCUMULATE || c.grouped && r > 0;
            if (k <= counts.groups) {
                var batch = new Cublas.Batch(counts.groups, a.step(perGroup), b.step(perGroup), c.step(perGroup));
                for (int i = 0; i < k; i++) {
                    run(size, a.operand(a.offset(r, 0, i, perGroup)), b.operand(b.offset(r, 0, i, perGroup)),
                            c.operand(c.offset(r, 0, i, perGroup)), batch, accumulate);
                }
            } else {
                var batch = new Cublas.Batch(k, a.cotangent, b.cotangent, c.cotangent);
                for (int g = 0; g < counts.groups; g++) {
                    run(size, a.operand(a.offset(r, g, 0, perGroup)), b.operand(b.offset(r, g, 0, perGroup)),
                            c.operand(c.offset(r, g, 0, perGroup)), batch, accumulate);
                }
            }
        }
    }

    private void run(Cublas.Size size, Cublas.Operand a, Cublas.Operand b, Cublas.Operand c, Cublas.Batch batch, boolean accumulate) {
        device.cublas().gemmBatched(precision, size, a, b, c, batch, accumulate);
    }
}

package obsprop.kernel.cpu;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorMask;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;

/** Runs of consecutive elements from one real type to another; offsets count bytes. */
final class Convert {
    /** As many ints, and as many halves, as there are floats in a vector. */
    static final VectorSpecies<Integer> I = Lanes.F.withLanes(int.class);

    static final VectorSpecies<Short> H =
            VectorSpecies.of(short.class, VectorShape.forBitSize(Lanes.F.vectorBitSize() / 2));
    /** Of two BF16 in an int, the upper is the float that is left by this mask, the lower that of a shift by 16. */
    static final int HIGH = 0xFFFF0000;
    /** 2^112, the ratio of the exponent biases of F32 and F16. */
    private static final float REBIAS = 0x1p112f;

    private Convert() {}

    /** {@code to[i] = scale-free F32 value of from[i]} for n elements of {@code type}. */
    static void widen(MemorySegment from, long fromOffset, DType type, MemorySegment to, long toOffset, int n) {
        switch (type) {
            case F32 -> copyFloats(from, fromOffset, to, toOffset, n);
            case BF16 -> widenBf16(from, fromOffset, to, toOffset, n);
            case F16 -> widenF16(from, fromOffset, to, toOffset, n);
            case F64 -> {
                for (int i = 0; i < n; i++) {
                    double x = from.get(java.lang.foreign.ValueLayout.JAVA_DOUBLE_UNALIGNED, fromOffset + 8L * i);
                    Lanes.set(to, toOffset + 4L * i, (float) x);
                }
            }
            default -> throw new IllegalArgumentException("elements of type " + type + " take no part in arithmetic");
        }
    }

    /**
     * Widens {@code rows} rows of w from (row, col) on, {@code cols} columns of each, to {@code all} rows {@code toRow} bytes apart, of
     * {@code padded} floats; what lies beyond is zero.
     */
    static void widenRows(
            Matrix w, int row, int rows, int col, int cols, MemorySegment to, long toAt, long toRow, int all, int padded) {
        for (int r = 0; r < all; r++) {
            int done = r < rows ? cols : 0;
            if (done > 0) {
                widen(w.segment, w.bytes(row + r, col), w.type, to, toAt + r * toRow, done);
            }
            Copies.zeroRow(to, toAt + r * toRow + 4L * done, padded - done);
        }
    }

    static void copyFloats(MemorySegment from, long fromOffset, MemorySegment to, long toOffset, int n) {
        MemorySegment.copy(from, fromOffset, to, toOffset, 4L * n);
    }

    private static void widenBf16(MemorySegment from, long fromOffset, MemorySegment to, long toOffset, int n) {
        from = Lanes.plain(from);
        to = Lanes.plain(to);
        int whole = Lanes.whole(n);
        for (int i = 0; i < whole; i += Lanes.N) {
            ShortVector h = ShortVector.fromMemorySegment(H, from, fromOffset + 2L * i, Lanes.ORDER);
            IntVector bits = (IntVector) h.convertShape(VectorOperators.ZERO_EXTEND_S2I, I, 0);
            Lanes.store(bits.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats(), to, toOffset + 4L * i);
        }
        for (int i = whole; i < n; i++) {
            short h = from.get(Lanes.SHORT, fromOffset + 2L * i);
            Lanes.set(to, toOffset + 4L * i, Float.intBitsToFloat(h << 16));
        }
    }

    private static void widenF16(MemorySegment from, long fromOffset, MemorySegment to, long toOffset, int n) {
        from = Lanes.plain(from);
        to = Lanes.plain(to);
        int whole = Lanes.whole(n);
        for (int i = 0; i < whole; i += Lanes.N) {
            ShortVector h = ShortVector.fromMemorySegment(H, from, fromOffset + 2L * i, Lanes.ORDER);
            IntVector bits = (IntVector) h.convertShape(VectorOperators.ZERO_EXTEND_S2I, I, 0);
            IntVector magnitude = bits.and(0x7FFF);
            FloatVector value = magnitude.lanewise(VectorOperators.LSHL, 13).reinterpretAsFloats().mul(REBIAS);
            // Infinities and NaNs: the widest exponent of F16 becomes that of F32.
            VectorMask<Integer> special = magnitude.compare(VectorOperators.GE, 0x7C00);
            IntVector out = value.reinterpretAsInts();
            out = out.blend(out.or(0x7F800000), special);
            out = out.or(bits.and(0x8000).lanewise(VectorOperators.LSHL, 16));
            Lanes.store(out.reinterpretAsFloats(), to, toOffset + 4L * i);
        }
        for (int i = whole; i < n; i++) {
            short h = from.get(Lanes.SHORT, fromOffset + 2L * i);
            Lanes.set(to, toOffset + 4L * i, Float.float16ToFloat(h));
        }
    }

    /** Rounds n F32 elements to nearest even in {@code type}. */
    static void narrow(MemorySegment from, long fromOffset, MemorySegment to, long toOffset, DType type, int n) {
        switch (type) {
            case F32 -> copyFloats(from, fromOffset, to, toOffset, n);
            case BF16 -> {
                for (int i = 0; i < n; i++) {
                    to.set(Lanes.SHORT, toOffset + 2L * i, Tensor.floatToBf16(Lanes.get(from, fromOffset + 4L * i)));
                }
            }
            case F16 -> {
                for (int i = 0; i < n; i++) {
                    to.set(Lanes.SHORT, toOffset + 2L * i, Float.floatToFloat16(Lanes.get(from, fromOffset + 4L * i)));
                }
            }
            default -> throw new IllegalArgumentException("no rounding from F32 to " + type);
        }
    }
}

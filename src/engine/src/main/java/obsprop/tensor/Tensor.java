package obsprop.tensor;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.Objects;

/**
 * A shaped view over off-heap memory: no arithmetic, no ownership (the {@link Arena} that allocated the memory owns it).
 *
 * <p>Sizes count elements; strides count elements too. Element (i, j, ...) lies {@code i*stride(0) + j*stride(1) + ...}
 * elements after the start of {@link #segment()}. Views made by {@link #slice}, {@link #select}, {@link #reshape} and
 * {@link #unflatten} share the memory. Element access is for tests, the scalar kernels and small results; it checks
 * bounds and works on {@link Place#HOST} only.
 */
public final class Tensor {
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;
    private static final ValueLayout.OfDouble DOUBLE = ValueLayout.JAVA_DOUBLE_UNALIGNED;
    private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED;
    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT_UNALIGNED;
    private static final ValueLayout.OfLong LONG = ValueLayout.JAVA_LONG_UNALIGNED;
    /** Cache-line alignment, so that aligned vector loads never straddle lines. */
    private static final long ALIGNMENT = 64;

    private final MemorySegment segment;
    private final DType dtype;
    private final Place place;
    private final int[] shape;
    private final long[] strides;

    private Tensor(MemorySegment segment, DType dtype, Place place, int[] shape, long[] strides) {
        this.segment = segment;
        this.dtype = dtype;
        this.place = place;
        this.shape = shape;
        this.strides = strides;
    }

    /** A contiguous, zeroed host tensor that lives as long as {@code arena}. */
    public static Tensor allocate(Arena arena, DType dtype, int... shape) {
        long bytes = Math.multiplyExact(elements(shape), (long) dtype.bytes());
        return of(arena.allocate(bytes, ALIGNMENT), dtype, Place.HOST, shape);
    }

    /**
     * A contiguous view of the first elements of {@code segment}, row-major.
     *
     * @throws IllegalArgumentException if the segment is too small or a view of an array
     */
    public static Tensor of(MemorySegment segment, DType dtype, Place place, int... shape) {
        if (!segment.isNative()) {
            throw new IllegalArgumentException("a tensor's memory lies off the heap; copy the array with Tensor.ofFloats");
        }
        long needed = Math.multiplyExact(elements(shape), (long) dtype.bytes());
        if (segment.byteSize() < needed) {
            throw new IllegalArgumentException("segment of " + segment.byteSize() + " bytes cannot hold " + dtype
                    + Arrays.toString(shape) + ", which needs " + needed);
        }
        return new Tensor(segment, dtype, place, shape.clone(), rowMajor(shape));
    }

    /** A host F32 tensor holding a copy of {@code values}. */
    public static Tensor ofFloats(Arena arena, float[] values, int... shape) {
        Tensor tensor = allocate(arena, DType.F32, shape);
        if (tensor.elements() != values.length) {
            throw new IllegalArgumentException(
                    values.length + " values for shape " + Arrays.toString(shape));
        }
        MemorySegment.copy(values, 0, tensor.segment, FLOAT, 0, values.length);
        return tensor;
    }

    private static long elements(int[] shape) {
        long product = 1;
        for (int size : shape) {
            if (size < 0) {
                throw new IllegalArgumentException("negative size in shape " + Arrays.toString(shape));
            }
            product = Math.multiplyExact(product, (long) size);
        }
        return product;
    }

    private static long[] rowMajor(int[] shape) {
        long[] strides = new long[shape.length];
        long stride = 1;
        for (int axis = shape.length - 1; axis >= 0; axis--) {
            strides[axis] = stride;
            stride *= shape[axis];
        }
        return strides;
    }

    /** The memory, starting at this view's first element. For a device tensor its address is a device pointer. */
    public MemorySegment segment() {
        return segment;
    }

    public DType dtype() {
        return dtype;
    }

    public Place place() {
        return place;
    }

    public int rank() {
        return shape.length;
    }

    /** Number of elements along {@code axis}. */
    public int size(int axis) {
        return shape[axis];
    }

    /** Distance in elements between neighbours along {@code axis}. */
    public long stride(int axis) {
        return strides[axis];
    }

    /** A copy of the shape. */
    public int[] shape() {
        return shape.clone();
    }

    /** Number of elements of the view. */
    public long elements() {
        long product = 1;
        for (int size : shape) {
            product *= size;
        }
        return product;
    }

    /** Whether the view's elements lie one after the other, row-major. */
    public boolean isContiguous() {
        long expected = 1;
        for (int axis = shape.length - 1; axis >= 0; axis--) {
            if (shape[axis] != 1 && strides[axis] != expected) {
                return false;
            }
            expected *= shape[axis];
        }
        return true;
    }

    /** The same view over other memory, {@code memory} being where its first element lies. */
    public Tensor over(MemorySegment memory, Place where) {
        return new Tensor(memory, dtype, where, shape, strides);
    }

    /** The elements {@code from <= index < to} along {@code axis}; the rank stays. */
    public Tensor slice(int axis, int from, int to) {
        Objects.checkFromToIndex(from, to, shape[axis]);
        int[] newShape = shape.clone();
        newShape[axis] = to - from;
        return new Tensor(from(axis, from), dtype, place, newShape, strides);
    }

    /** Every {@code step}-th element along {@code axis}, {@code from <= index < to}; none where from is not before to. */
    public Tensor slice(int axis, int from, int to, int step) {
        Tensor all = slice(axis, Math.min(from, to), to);
        int[] newShape = all.shape.clone();
        newShape[axis] = Math.ceilDiv(newShape[axis], step);
        long[] newStrides = strides.clone();
        newStrides[axis] *= step;
        return new Tensor(all.segment, dtype, place, newShape, newStrides);
    }

    /** The sub-tensor at {@code index} along {@code axis}; the axis goes away. */
    public Tensor select(int axis, int index) {
        Objects.checkIndex(index, shape[axis]);
        int[] newShape = new int[shape.length - 1];
        long[] newStrides = new long[shape.length - 1];
        for (int i = 0, j = 0; i < shape.length; i++) {
            if (i != axis) {
                newShape[j] = shape[i];
                newStrides[j++] = strides[i];
            }
        }
        return new Tensor(from(axis, index), dtype, place, newShape, newStrides);
    }

    private MemorySegment from(int axis, int index) {
        return index == 0 ? segment : segment.asSlice(index * strides[axis] * dtype.bytes());
    }

    /** The same elements under another shape of equal size; the view must be contiguous. */
    public Tensor reshape(int... newShape) {
        if (!isContiguous() || elements(newShape) != elements()) {
            throw new IllegalArgumentException("cannot view " + this + " as " + Arrays.toString(newShape));
        }
        return new Tensor(segment, dtype, place, newShape.clone(), rowMajor(newShape));
    }

    /** Splits {@code axis} of size {@code outer * inner} in two; works on any strides. */
    public Tensor unflatten(int axis, int outer, int inner) {
        if (shape[axis] != outer * inner) {
            throw new IllegalArgumentException("cannot split axis " + axis + " of " + this + " into " + outer + " x " + inner);
        }
        int[] newShape = new int[shape.length + 1];
        long[] newStrides = new long[shape.length + 1];
        for (int i = 0, j = 0; i < shape.length; i++) {
            if (i == axis) {
                newShape[j] = outer;
                newStrides[j++] = strides[i] * inner;
                newShape[j] = inner;
            } else {
                newShape[j] = shape[i];
            }
            newStrides[j++] = strides[i];
        }
        return new Tensor(segment, dtype, place, newShape, newStrides);
    }

    /** Merges {@code axis} with the next one, whose elements must follow one another; the opposite of unflatten. */
    public Tensor flatten(int axis) {
        if (shape[axis] != 1 && strides[axis] != shape[axis + 1] * strides[axis + 1]) {
            throw new IllegalArgumentException("cannot merge axes " + axis + " and " + (axis + 1) + " of " + this);
        }
        int[] newShape = new int[shape.length - 1];
        long[] newStrides = new long[shape.length - 1];
        for (int i = 0, j = 0; i < shape.length; i++) {
            if (i != axis) {
                newShape[j] = i == axis + 1 ? shape[axis] * shape[i] : shape[i];
                newStrides[j++] = strides[i];
            }
        }
        return new Tensor(segment, dtype, place, newShape, newStrides);
    }

    /** Element of a rank-1 view, widened to double. */
    public double get(int i) {
        return read(index(i));
    }

    public double get(int i, int j) {
        return read(index(i, j));
    }

    public double get(int i, int j, int k) {
        return read(index(i, j, k));
    }

    public double get(int i, int j, int k, int l) {
        return read(index(i, j, k, l));
    }

    /** Sets an element of a rank-1 view, rounding to the element type. */
    public void set(double value, int i) {
        write(index(i), value);
    }

    public void set(double value, int i, int j) {
        write(index(i, j), value);
    }

    public void set(double value, int i, int j, int k) {
        write(index(i, j, k), value);
    }

    public void set(double value, int i, int j, int k, int l) {
        write(index(i, j, k, l), value);
    }

    private long index(int i) {
        requireRank(1);
        return Objects.checkIndex(i, shape[0]) * strides[0];
    }

    private long index(int i, int j) {
        requireRank(2);
        return Objects.checkIndex(i, shape[0]) * strides[0] + Objects.checkIndex(j, shape[1]) * strides[1];
    }

    private long index(int i, int j, int k) {
        requireRank(3);
        return Objects.checkIndex(i, shape[0]) * strides[0]
                + Objects.checkIndex(j, shape[1]) * strides[1]
                + Objects.checkIndex(k, shape[2]) * strides[2];
    }

    private long index(int i, int j, int k, int l) {
        requireRank(4);
        return Objects.checkIndex(i, shape[0]) * strides[0]
                + Objects.checkIndex(j, shape[1]) * strides[1]
                + Objects.checkIndex(k, shape[2]) * strides[2]
                + Objects.checkIndex(l, shape[3]) * strides[3];
    }

    private void requireRank(int rank) {
        if (shape.length != rank) {
            throw new IllegalArgumentException(rank + " indices for " + this);
        }
    }

    /** The element {@code offset} elements after the start of the memory, widened to double. */
    public double read(long offset) {
        requireHost();
        return switch (dtype) {
            case F32 -> segment.get(FLOAT, offset * 4);
            case F64 -> segment.get(DOUBLE, offset * 8);
            case F16 -> Float.float16ToFloat(segment.get(SHORT, offset * 2));
            case BF16 -> Float.intBitsToFloat(segment.get(SHORT, offset * 2) << 16);
            case I32 -> segment.get(INT, offset * 4);
            case I64 -> segment.get(LONG, offset * 8);
            case U8, BOOL -> segment.get(ValueLayout.JAVA_BYTE, offset) & 0xFF;
            default -> throw new IllegalArgumentException("elements of " + this + " cannot be read as numbers");
        };
    }

    /** Sets the element {@code offset} elements after the start, rounding to nearest even. */
    public void write(long offset, double value) {
        requireHost();
        switch (dtype) {
            case F32 -> segment.set(FLOAT, offset * 4, (float) value);
            case F64 -> segment.set(DOUBLE, offset * 8, value);
            case F16 -> segment.set(SHORT, offset * 2, Float.floatToFloat16((float) value));
            case BF16 -> segment.set(SHORT, offset * 2, floatToBf16((float) value));
            case I32 -> segment.set(INT, offset * 4, (int) value);
            default -> throw new IllegalArgumentException("elements of " + this + " cannot be written");
        }
    }

    /** Rounds to the nearest bfloat16, ties to even; NaN stays NaN. */
    public static short floatToBf16(float value) {
        int bits = Float.floatToRawIntBits(value);
        if (Float.isNaN(value)) {
            return (short) (bits >>> 16 | 0x40);
        }
        return (short) (bits + 0x7FFF + (bits >>> 16 & 1) >>> 16);
    }

    private void requireHost() {
        if (place != Place.HOST) {
            throw new IllegalStateException(this + " lies on the device: copy it to the host first");
        }
    }

    /** All elements in row-major order, rounded to float. Allocates: for results, not for hot paths. */
    public float[] toFloats() {
        float[] out = new float[Math.toIntExact(elements())];
        if (dtype == DType.F32 && isContiguous()) {
            requireHost();
            MemorySegment.copy(segment, FLOAT, 0, out, 0, out.length);
            return out;
        }
        double[] wide = toDoubles();
        for (int i = 0; i < out.length; i++) {
            out[i] = (float) wide[i];
        }
        return out;
    }

    /** All elements in row-major order as doubles. Allocates: for results, not for hot paths. */
    public double[] toDoubles() {
        double[] out = new double[Math.toIntExact(elements())];
        int[] index = new int[shape.length];
        long offset = 0;
        for (int i = 0; i < out.length; i++) {
            out[i] = read(offset);
            for (int axis = shape.length - 1; axis >= 0; axis--) {
                offset += strides[axis];
                if (++index[axis] < shape[axis]) {
                    break;
                }
                offset -= strides[axis] * shape[axis];
                index[axis] = 0;
            }
        }
        return out;
    }

    /** For example {@code F32[2, 22, 40]}. */
    @Override
    public String toString() {
        return dtype + Arrays.toString(shape) + (place == Place.DEVICE ? " on the device" : "");
    }
}

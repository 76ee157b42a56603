package obsprop.weights.checkpoint;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import obsprop.tensor.DType;
import obsprop.tensor.Tensor;
import obsprop.tensor.io.FormatException;

/** Reads and writes elements of the real types in bulk, through float (double for F64). */
final class RealCodec {
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;
    private static final ValueLayout.OfDouble DOUBLE = ValueLayout.JAVA_DOUBLE_UNALIGNED;
    private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED;

    private RealCodec() {}

    /** Elements {@code first <= i < first + count} of {@code data}, widened. */
    static void read(MemorySegment data, DType dtype, long first, double[] values, int count) {
        switch (dtype) {
            case F32 -> {
                for (int i = 0; i < count; i++) {
                    values[i] = data.get(FLOAT, (first + i) * 4);
                }
            }
            case F64 -> {
                for (int i = 0; i < count; i++) {
                    values[i] = data.get(DOUBLE, (first + i) * 8);
                }
            }
            case F16 -> {
                for (int i = 0; i < count; i++) {
                    values[i] = Float.float16ToFloat(data.get(SHORT, (first + i) * 2));
                }
            }
            case BF16 -> {
                for (int i = 0; i < count; i++) {
                    values[i] = Float.intBitsToFloat(data.get(SHORT, (first + i) * 2) << 16);
                }
            }
            default -> throw new IllegalArgumentException(dtype + " is not a real type");
        }
    }

    /**
     * Writes the first {@code count} values to the start of {@code data}, rounding to nearest even.
     *
     * @throws FormatException if a finite value is too large for the type; the message names {@code what}
     */
    static void write(double[] values, int count, DType dtype, MemorySegment data, String what) {
        for (int i = 0; i < count; i++) {
            float value = (float) values[i];
            if (dtype != DType.F64 && Float.isInfinite(value) && Double.isFinite(values[i])) {
                throw tooLarge(values[i], dtype, "", what);
            }
            switch (dtype) {
                case F32 -> data.set(FLOAT, i * 4L, value);
                case F64 -> data.set(DOUBLE, i * 8L, values[i]);
                case F16 -> data.set(SHORT, i * 2L, half(value, what));
                case BF16 -> data.set(SHORT, i * 2L, brain(value, what));
                default -> throw new IllegalArgumentException(dtype + " is not a real type");
            }
        }
    }

    private static short half(float value, String what) {
        short bits = Float.floatToFloat16(value);
        if (Float.isInfinite(Float.float16ToFloat(bits)) && Float.isFinite(value)) {
            throw tooLarge(value, DType.F16, ", use --dtype BF16", what);
        }
        return bits;
    }

    private static short brain(float value, String what) {
        short bits = Tensor.floatToBf16(value);
        if (Float.isInfinite(Float.intBitsToFloat(bits << 16)) && Float.isFinite(value)) {
            throw tooLarge(value, DType.BF16, ", use --dtype F32", what);
        }
        return bits;
    }

    private static FormatException tooLarge(double value, DType dtype, String instead, String what) {
        return new FormatException(what + ": the value " + value + " is too large for " + dtype + instead);
    }
}

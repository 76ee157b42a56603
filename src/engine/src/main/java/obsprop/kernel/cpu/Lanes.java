package obsprop.kernel.cpu;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorSpecies;

/** The vector shape of this machine and access to single floats; offsets count bytes. */
final class Lanes {
    static final VectorSpecies<Float> F = FloatVector.SPECIES_PREFERRED;
    /** Floats in a vector. */
    static final int N = F.length();
    /** Bytes of a vector. */
    static final int BYTES = N * Float.BYTES;
    static final ByteOrder ORDER = ByteOrder.nativeOrder();
    static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;
    static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED;

    /** The class of off-heap segments; mapped ones are a subclass of it. */
    private static final Class<? extends MemorySegment> PLAIN = MemorySegment.NULL.getClass();

    private Lanes() {}

    /**
     * The same segment, known to C2 to lie off the heap. To be called first thing in every method that loops over segments
     * without the methods below. {@code reinterpretAsInts} and its like, as long as they are interpreted, put vectors into
     * segments over arrays; that spoils the profile of every access in the program, and a loop whose stores might go to the
     * heap keeps all its checks.
     *
     * @throws ClassCastException if it lies on the heap
     */
    static MemorySegment plain(MemorySegment segment) {
        return PLAIN.cast(segment);
    }

    static FloatVector load(MemorySegment segment, long offset) {
        return FloatVector.fromMemorySegment(F, plain(segment), offset, ORDER);
    }

    static void store(FloatVector v, MemorySegment segment, long offset) {
        v.intoMemorySegment(plain(segment), offset, ORDER);
    }

    static float get(MemorySegment segment, long offset) {
        return plain(segment).get(FLOAT, offset);
    }

    static void set(MemorySegment segment, long offset, float value) {
        plain(segment).set(FLOAT, offset, value);
    }

    /**
     * Sum of the {@link #N} floats at {@code offset}, in a fixed order: {@code reduceLanes} leaves the order open, and the
     * interpreter's differs from compiled code's.
     */
    static float sum(MemorySegment segment, long offset) {
        return sum(segment, offset, N);
    }

    /** The same where all floats from the {@code count}th on are zero. */
    static float sum(MemorySegment segment, long offset, int count) {
        float s0 = get(segment, offset);
        float s1 = get(segment, offset + 4);
        float s2 = get(segment, offset + 8);
        float s3 = get(segment, offset + 12);
        for (int i = 4; i < count; i += 4) {
            s0 += get(segment, offset + 4L * i);
            s1 += get(segment, offset + 4L * i + 4);
            s2 += get(segment, offset + 4L * i + 8);
            s3 += get(segment, offset + 4L * i + 12);
        }
        return s0 + s1 + (s2 + s3);
    }

    /** The largest multiple of {@link #N} that is at most {@code n}. */
    static int whole(int n) {
        return n - n % N;
    }

    /** The least multiple of {@link #N} that is at least {@code n}. */
    static int padded(int n) {
        return whole(n + N - 1);
    }
}

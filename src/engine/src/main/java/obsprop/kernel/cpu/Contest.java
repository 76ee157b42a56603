package obsprop.kernel.cpu;

import java.util.function.LongSupplier;
import java.util.stream.IntStream;

/**
 * Which of two ways to the same bits is faster, as measured call by call for each shape of product: that differs from machine to machine and,
 * where others use the host, from minute to minute. The slower one is tried again, often at first, as it is not compiled before it has run
 * for a while, then now and then. For one thread at a time.
 */
final class Contest {
    /** Shapes that are kept in mind, a power of two: each in the place that its hash says, the last one there. */
    private static final int SHAPES = 32;
    /** Calls of a shape at most after which the slower way is tried again. */
    private static final int CALLS = 100;
    /** What a time grows by whenever its way is measured again: so what holds no longer is forgotten. */
    private static final double AGEING = 1.005;

    private final LongSupplier clock;
    private final Shape[] shapes = IntStream.range(0, SHAPES).mapToObj(_ -> new Shape()).toArray(Shape[]::new);
    private Shape shape = shapes[0];
    private int way;
    private long began;

    private static final class Shape {
        private long key;
        private int calls;
        /** The call at which the slower way is tried. */
        private int trial;
        /** The least time of each way, in nanoseconds; infinite before the first. */
        private final double[] least = new double[2];
    }

    /** @param clock nanoseconds */
    Contest(LongSupplier clock) {
        this.clock = clock;
    }

    /** The way to go now, 0 or 1; {@link #end} follows when that is done. */
    int begin(long key) {
        shape = shapes[Long.hashCode(key * 0x9E3779B97F4A7C15L) >>> 8 & SHAPES - 1];
        if (shape.calls == 0 || shape.key != key) {
            shape.key = key;
            shape.calls = 0;
            shape.trial = 1;
            shape.least[0] = Double.POSITIVE_INFINITY;
            shape.least[1] = Double.POSITIVE_INFINITY;
        }
        way = shape.least[1] < shape.least[0] ? 1 : 0;
        if (shape.calls == shape.trial) {
            way = 1 - way;
            shape.trial += Math.clamp(shape.calls / 4, 1, CALLS);
        }
        shape.calls++;
        began = clock.getAsLong();
        return way;
    }

    void end() {
        shape.least[way] = Math.min(clock.getAsLong() - began, AGEING * shape.least[way]);
    }
}

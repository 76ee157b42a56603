package obsprop.testing;

import obsprop.tensor.DType;

/**
 * How far two computations of one thing may lie apart: the only place where tests take tolerances from.
 *
 * <p>A sum of L terms, each rounded with unit roundoff u, is off by at most {@code lambda sqrt(L) u sum|terms|} but with
 * probability {@code 2 exp(-lambda^2/2)} a rounding (Higham and Mary, SIAM J. Sci. Comput. 41, 2019). To this come a
 * few roundings that do not depend on L: of saved values, of the result, and of an elementary function good to 2 ulp.
 */
public final class Tolerance {
    /** The lambda above. */
    private static final double LAMBDA = 4;
    /** Roundings besides those of the sum. */
    private static final double FEW = 4;
    /** Step of {@link Derivatives}; its 8-point stencil is off by about step^8. */
    static final double STEP = 1.0 / 128;

    private Tolerance() {}

    /**
     * For a result that is a sum.
     *
     * @param type what the computation was rounded to
     * @param length L, the number of terms
     * @param magnitude the sum of the absolute values of the terms, times the condition of what is done with the sum
     */
    public static double of(DType type, int length, double magnitude) {
        return LAMBDA * roundoff(type) * (Math.sqrt(length) + FEW) * magnitude;
    }

    /** The same for a sum of products of uniform random factors, whose product is at most {@code largest}: 1/4 on average. */
    public static double ofRandomSum(DType type, int length, double largest) {
        return of(type, length, Math.max(1, length / 4.0) * largest);
    }

    /**
     * For a derivative of {@link Derivatives} against an exact one, in double: rounding of the function's values
     * divided by the step, and {@code step^8} (1.4e-17) times a ninth derivative of up to 1e5 times the first.
     *
     * @param magnitude of the values and of the derivative
     */
    public static double ofDifferences(double magnitude) {
        return (16 * roundoff(DType.F64) / STEP + 1e5 * Math.pow(STEP, 8) / 630) * magnitude;
    }

    /** u: half the distance from 1 to the next number. */
    public static double roundoff(DType type) {
        return switch (type) {
            case F64 -> 0x1p-53;
            case F32 -> 0x1p-24;
            case F16 -> 0x1p-11;
            case BF16 -> 0x1p-8;
            default -> throw new IllegalArgumentException(type + " is not a real type");
        };
    }
}

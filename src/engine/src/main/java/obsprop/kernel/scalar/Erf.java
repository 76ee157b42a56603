package obsprop.kernel.scalar;

/**
 * The error function in double precision: W. J. Cody, "Rational Chebyshev approximation for the error function",
 * Math. Comp. 23 (1969), with the coefficients of his CALERF (SPECFUN). Relative error below 1e-15 for erf, and for
 * erfc as long as it is not subnormal.
 */
final class Erf {
    private static final double INVERSE_SQRT_PI = 5.6418958354775628695e-1;
    /** Up to here erf is computed, beyond it erfc. */
    private static final double SMALL = 0.46875;
    /** From here on erfc is below the smallest positive double. */
    private static final double UNDERFLOW = 27.3;

    // Highest power first. Numerators and denominators of erf(x)/x in x^2 for |x| <= 0.46875,
    private static final double[] A = {
        1.85777706184603153e-1, 3.16112374387056560e0, 1.13864154151050156e2, 3.77485237685302021e2, 3.20937758913846947e3
    };
    private static final double[] B = {
        1, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3
    };
    // of exp(x^2) erfc(x) in x for 0.46875 <= x <= 4,
    private static final double[] C = {
        2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594e0, 6.61191906371416295e1,
        2.98635138197400131e2, 8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3,
        1.23033935479799725e3
    };
    private static final double[] D = {
        1, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3,
        3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3
    };
    // and of x^2 (1/sqrt(pi) - x exp(x^2) erfc(x)) in 1/x^2 for x >= 4.
    private static final double[] P = {
        1.63153871373020978e-2, 3.05326634961232344e-1, 3.60344899949804439e-1, 1.25781726111229246e-1,
        1.60837851487422766e-2, 6.58749161529837803e-4
    };
    private static final double[] Q = {
        1, 2.56852019228982242e0, 1.87295284992346725e0, 5.27905102951428412e-1, 6.05183413124413191e-2,
        2.33520497626869185e-3
    };

    private Erf() {}

    static double erf(double x) {
        double size = Math.abs(x);
        if (size <= SMALL) {
            return x * polynomial(A, x * x) / polynomial(B, x * x);
        }
        return Math.copySign(1 - erfcPositive(size), x);
    }

    /** {@code 1 - erf(x)}, without the cancellation. */
    static double erfc(double x) {
        if (Math.abs(x) <= SMALL) {
            return 1 - erf(x);
        }
        return x > 0 ? erfcPositive(x) : 2 - erfcPositive(-x);
    }

    /** erfc for {@code x > 0.46875}; NaN for NaN. */
    private static double erfcPositive(double x) {
        if (x >= UNDERFLOW) {
            return 0;
        }
        if (x <= 4) {
            return expMinusSquare(x) * polynomial(C, x) / polynomial(D, x);
        }
        double u = 1 / (x * x);
        return expMinusSquare(x) * (INVERSE_SQRT_PI - u * polynomial(P, u) / polynomial(Q, u)) / x;
    }

    /** exp(-x^2); x is split so that the square of its head is exact, or the rounding of x^2 would be magnified. */
    private static double expMinusSquare(double x) {
        double head = Math.rint(x * 16) / 16;
        return Math.exp(-head * head) * Math.exp(-(x - head) * (x + head));
    }

    private static double polynomial(double[] coefficients, double x) {
        double sum = 0;
        for (double coefficient : coefficients) {
            sum = sum * x + coefficient;
        }
        return sum;
    }
}

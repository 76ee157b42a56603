package obsprop.analysis.steering;

/**
 * What is done to the residual stream x along a vector y. Only the component along y changes: {@code x' = x + f y}, so an
 * edit is the new score {@code y . x'}, and {@code f = (new score - y . x) / ||y||^2}.
 */
public sealed interface Edit {
    /**
     * The score after the edit.
     *
     * @param score {@code y . x} before
     * @param square {@code ||y||^2}
     */
    double newScore(double score, double square);

    /** {@code x' = x + coefficient y}. */
    record Add(double coefficient) implements Edit {
        @Override
        public double newScore(double score, double square) {
            return score + coefficient * square;
        }
    }

    /** The component along y is replaced, so that {@code y . x' = value}. */
    record Set(double value) implements Edit {
        @Override
        public double newScore(double score, double square) {
            return value;
        }
    }

    /** The component along y is removed: {@code y . x' = 0}. */
    record ProjectOut() implements Edit {
        @Override
        public double newScore(double score, double square) {
            return 0;
        }
    }

    /**
     * The paper's pairwise patch: the component along y moves by {@code factor} times the way to that of another run.
     * Factor 1 gives x the other run's score, factor 2 goes as far again beyond it; the length of y does not matter. (The
     * authors' notebook doubles a unit vector that enters squared, and so moves four times the way.)
     *
     * @param otherScore {@code y . x} in the other run
     */
    record Pairwise(double otherScore, double factor) implements Edit {
        @Override
        public double newScore(double score, double square) {
            return score + factor * (otherScore - score);
        }
    }
}

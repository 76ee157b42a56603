package obsprop.weights.corpus;

/** Which pairs of name and frame a document may use. */
public enum Part {
    /** What is trained on, and fresh documents of the same distribution. */
    SEEN,
    /** Only pairs that {@link #SEEN} never uses: the fact must be composed from name and frame. */
    UNSEEN_PAIRS;

    /** One pair in eight, a fixed pattern that leaves every name and every frame plenty of the others. */
    boolean admits(int frame, int name) {
        boolean reserved = (3 * frame + 5 * name) % 8 == 0;
        return reserved == (this == UNSEEN_PAIRS);
    }
}

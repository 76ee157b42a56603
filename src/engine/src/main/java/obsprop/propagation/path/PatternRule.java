package obsprop.propagation.path;

/** How a path goes through an attention head, from the token where the head writes to the token it reads. */
public enum PatternRule {
    /** The pattern is taken as 1: {@code W_V^T W_O^T y}, the OV circuit alone, no prompt needed. */
    ONE,
    /** The pattern is a constant with its value on the prompt: {@code A[t,j] W_V^T W_O^T y}. */
    FROZEN,
    /** The true derivative: also through the queries and keys of the token read. */
    EXACT
}

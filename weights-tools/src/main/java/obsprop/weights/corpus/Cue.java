package obsprop.weights.corpus;

/**
 * A place in a document where what follows is fixed by what came before.
 *
 * @param offset index in the text of the first character of the predicted token, its leading space included
 * @param expected the token, for instance {@code " she"}
 * @param alternative the token that would stand there had the fact been the other, for instance {@code " he"}
 */
public record Cue(int offset, String expected, String alternative) {}

package obsprop.cli.texts;

/** What a document of a {@code .txt} file is. */
public enum SampleBy {
    /** Every line that is not blank. */
    LINE,
    /** Lines up to a blank one. */
    PARAGRAPH,
    /** The whole file. */
    DOCUMENT
}

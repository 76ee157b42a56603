package obsprop.cli.texts;

/** What happens to a line that cannot be read. */
public enum Malformed {
    /** The command ends there. */
    FAIL,
    /** The line is reported and left out. */
    SKIP
}

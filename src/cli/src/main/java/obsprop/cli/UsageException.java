package obsprop.cli;

/** Bad usage or bad input: the message is one line that says what is wrong, where, and how to put it right. */
public final class UsageException extends RuntimeException {
    private static final long serialVersionUID = 1;

    /** The user made a mistake that {@code message} explains. */
    public UsageException(String message) {
        super(message);
    }

    /** The same, where another exception told it. */
    public UsageException(String message, Throwable cause) {
        super(message, cause);
    }
}

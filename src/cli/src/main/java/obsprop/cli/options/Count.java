package obsprop.cli.options;

import obsprop.cli.UsageException;

/** Checks of numbers that options give. */
public final class Count {
    private Count() {
    }

    /**
     * {@code value}, if it is 1 or more.
     *
     * @throws UsageException where it is not, naming {@code option}
     */
    public static int atLeastOne(String option, int value) {
        if (value < 1) {
            throw new UsageException(option + ": " + value + " is too few: give 1 or more");
        }
        return value;
    }
}

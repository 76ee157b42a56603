package obsprop.cli.commands;

/**
 * What a run of a certain size would take.
 *
 * @param atOnce how many of the observables would go back together
 * @param bytes beside the weights
 */
record PlannedRun(int tokens, int prompts, int observables, int atOnce, long bytes) {
    /** For instance {@code 2 prompts of 128 tokens and 64 observables}. */
    @Override
    public String toString() {
        return count(prompts, "prompt") + " of " + count(tokens, "token") + " and " + count(observables, "observable");
    }

    private static String count(int n, String what) {
        return n + " " + what + (n == 1 ? "" : "s");
    }
}

package obsprop.cli.output;

import java.util.Locale;
import java.util.function.Consumer;
import java.util.function.LongSupplier;

/**
 * How far a long command is, redrawn in place on a terminal a few times a second; or nothing at all. Close it before
 * printing anything: that takes the line away. Steps may come from any thread.
 */
public final class Progress implements AutoCloseable {
    private static final long INTERVAL = 200_000_000;
    private static final double SECOND = 1e9;
    private static final int CELLS = 30;

    private final Consumer<String> terminal;
    private final LongSupplier clock;
    private final String task;
    private final long steps;
    private final long started;
    private long done;
    private long drawn;
    private int width;

    /**
     * @param terminal takes what is drawn
     * @param clock nanoseconds
     * @param steps how many there will be, as far as is known
     */
    Progress(Consumer<String> terminal, LongSupplier clock, String task, long steps) {
        this.terminal = terminal;
        this.clock = clock;
        this.task = task;
        this.steps = Math.max(1, steps);
        this.started = clock.getAsLong();
        this.drawn = started;
    }

    /** Draws nothing. */
    public static Progress none() {
        return new Progress(drawing -> { }, () -> 0, "", 0);
    }

    /** Draws how much of {@code task} is done on stderr. */
    public static Progress onTerminal(String task, long steps) {
        return new Progress(System.err::print, System::nanoTime, task, steps);
    }

    /** {@code count} more steps are done. */
    public synchronized void step(long count) {
        done += count;
        long now = clock.getAsLong();
        if (now - drawn >= INTERVAL) {
            drawn = now;
            String line = line((now - started) / SECOND);
            terminal.accept("\r" + line + " ".repeat(Math.max(0, width - line.length())));
            width = line.length();
        }
    }

    private String line(double seconds) {
        double share = Math.clamp((double) done / steps, 0, 1);
        int filled = (int) (share * CELLS);
        String left = share == 0 ? "" : ", " + time(seconds * (1 - share) / share) + " left";
        return String.format(Locale.ROOT, "%s %3d %% [%s%s] %.1f/s, %s%s", task, (int) (100 * share),
                "#".repeat(filled), ".".repeat(CELLS - filled), done / Math.max(seconds, 1 / SECOND), time(seconds), left);
    }

    private static String time(double seconds) {
        long whole = Math.round(seconds);
        return String.format(Locale.ROOT, "%d:%02d", whole / 60, whole % 60);
    }

    @Override
    public synchronized void close() {
        if (width > 0) {
            terminal.accept("\r" + " ".repeat(width) + "\r");
            width = 0;
        }
    }
}
